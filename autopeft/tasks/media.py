"""Folders of pictures or recordings -> frames; cells -> Media, known by its content; Reader."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from autopeft.base.errors import AutopeftError
from autopeft.tasks.builtin import Frames
from autopeft.tasks.files import SPLIT_NAMES


class Media(str):
    """A picture or recording: the string is its content's digest, so that equal ones are equal texts to the splits.

    content: the path of a file, a file's bytes, or an array; where: a name for messages.
    """

    content: str | bytes | np.ndarray
    where: str

    @classmethod
    def of(cls, content: str | bytes | np.ndarray, where: str) -> "Media":
        """A path, a file's bytes or an array -> Media. Raises AutopeftError for a file that cannot be read."""
        try:
            read = Path(content).read_bytes() if isinstance(content, str) else content
        except OSError as error:
            raise AutopeftError(f"Cannot read {content!s}: {error.strerror}.") from None
        if isinstance(read, np.ndarray):  # equal bytes of another shape are another picture
            read = f"{read.shape} {read.dtype} ".encode() + read.tobytes()
        media = cls("sha256:" + hashlib.sha256(read).hexdigest())
        media.content, media.where = content, where
        return media


@dataclass(frozen=True)
class Reader:
    """What a Backbone holds as its tokenizer where rows are no texts.

    processor: the model's own image processor or feature extractor; tokens: how many its blocks see of every row.
    """

    processor: Any
    tokens: int


def read_class_folders(path: Path, suffixes: tuple[str, ...], column: str) -> Frames:
    """A folder with a folder of files per class, or with such a folder per split -> frames of paths and labels.

    Raises AutopeftError when there is no such file.
    """
    parts = {SPLIT_NAMES[f.name]: f for f in folders(path) if f.name in SPLIT_NAMES}
    frames = {part: class_files(folder, suffixes, column) for part, folder in (parts or {"train": path}).items()}
    if "train" not in frames or frames["train"].empty:
        where = path / "train" if parts else path
        raise AutopeftError(
            f"{where} holds no {column} files in folders of classes, nor is {path} a folder that datasets' save_to_disk "
            f"wrote: make it a folder per class, such as {where}/cat/1{suffixes[0]} (of {', '.join(suffixes)})."
        )
    return frames


def class_files(path: Path, suffixes: tuple[str, ...], column: str) -> pd.DataFrame:
    """A folder with a folder of files per class -> a row for each file: its path and its class."""
    rows = [
        (str(file), folder.name)
        for folder in folders(path)
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in suffixes and not file.name.startswith(".")
    ]
    return pd.DataFrame(rows, columns=[column, "label"], dtype=object)


def folders(path: Path) -> list[Path]:
    """The folders in a folder, but for hidden ones, in order."""
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def media_column(frame: pd.DataFrame, name: str, column: str) -> str:
    """The column named so, or the only one whose cells hold bytes or arrays. Raises AutopeftError."""
    if column in frame:
        return column
    found = [str(c) for c in frame.columns if holds_media(frame[c])]
    if len(found) != 1:
        raise AutopeftError(
            f"Cannot tell which column of {name} holds the {column}s; it has: {', '.join(map(str, frame.columns))}. "
            "Name it with --text, or the kind of task with --task."
        )
    return found[0]


def holds_media(cells: pd.Series) -> bool:
    """Whether cells hold arrays, or the bytes and path of a file as `datasets` has them."""
    first = next((cell for cell in cells if cell is not None), None)
    return isinstance(first, np.ndarray) or (isinstance(first, dict) and {"bytes", "path"} <= set(first))


def as_media(cells: pd.Series, name: str, column: str) -> pd.Series:
    """Cells (paths, arrays, or the bytes and path that `datasets` holds) -> Media, None for an empty cell."""
    made = [one_media(cell, f"row {row} of {name}", column) for row, cell in enumerate(cells, start=1)]
    return pd.Series(made, index=cells.index, dtype=object)


def one_media(cell: Any, where: str, column: str) -> Media | None:
    """A cell -> Media, None for an empty one. Raises AutopeftError for what holds no picture or recording."""
    if isinstance(cell, dict):
        cell = cell.get("bytes") or cell.get("path")
    if cell is None or (isinstance(cell, float) and cell != cell):
        return None
    if isinstance(cell, np.ndarray) and cell.dtype != object or isinstance(cell, bytes):
        return Media.of(cell, f"the {column} in {where}")
    if isinstance(cell, str) and Path(cell).is_file():
        return Media.of(cell, cell)
    raise AutopeftError(
        f"{where[0].upper()}{where[1:]} holds {type(cell).__name__} {str(cell)[:40]} where a file's {column} belongs. "
        f"Give a folder of {column} files per class, or name the column with --text."
    )
