"""The built-in sources inside vaderSentiment: texts of four kinds, each with the mean rating of twenty people."""

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from autopeft.tasks.builtin import Frames

ARCHIVE = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"


def ratings(piece: str) -> Callable[[Path], "Frames"]:
    """Reader of one file of the archive: lines of id, mean rating in -4..4 and text."""

    def read(folder: Path) -> "Frames":
        with tarfile.open(folder / ARCHIVE) as content:
            member = content.extractfile(f"hutto_ICWSM_2014/{piece}_GroundTruth.txt")
            text = member.read().decode(errors="replace") if member else ""
        lines = [line.split("\t", 2) for line in text.splitlines() if line.strip()]
        return {"train": pd.DataFrame([(t, float(rating)) for _, rating, t in lines], columns=["text", "label"])}

    return read


def movie_signs(folder: Path) -> "Frames":
    """The label is the rating's sign; a zero has none."""
    frame = ratings("movieReviewSnippets")(folder)["train"]
    frame = frame[frame["label"] != 0]
    return {"train": frame.assign(label=["positive" if rating > 0 else "negative" for rating in frame["label"]])}


def tweet_signs(folder: Path) -> "Frames":
    """Three classes: a mean rating within half a point of zero is neutral."""
    frame = ratings("tweets")(folder)["train"]
    bins = pd.cut(frame["label"], [-5, -0.5, 0.5, 5], labels=["negative", "neutral", "positive"])
    return {"train": frame.assign(label=bins.astype(str))}
