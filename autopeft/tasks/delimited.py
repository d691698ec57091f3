"""A CSV or TSV file -> a frame of strings; whatever does not fit its header is refused with its line."""

import csv
import io
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from autopeft.base.errors import AutopeftError
from autopeft.tasks.builtin import Frames

NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
SEEN = 20  # rows by which another delimiter is known
NOTE = "reading"  # of a frame's attrs: what was noticed while its file was read


def delimited(separator: str) -> Callable[[Path], pd.DataFrame]:
    """Reader of a table of strings: nothing is guessed, so a text such as "null" or "007" stays as it is.

    Args:
        separator: what the suffix promises; a file whose header has one column is tried with the usual others.
    """

    def read(path: Path) -> pd.DataFrame:
        with open(path, encoding="utf-8-sig", newline="") as file:
            content = file.read()
        if "\0" in content:
            line = content[: content.index("\0")].count("\n") + 1
            raise AutopeftError(f"Line {line} of {path} holds bytes that are no text: save the table as UTF-8 text.")
        try:
            found = delimiter_of(content, separator)
            frame = frame_of(path, list(records(content, found)), content, found)
        except csv.Error as error:
            raise AutopeftError(f"Cannot read {path} as a table: {error}. Save it as UTF-8 text.") from None
        if found != separator:
            frame.attrs[NOTE] = f"{path.name} is separated by {NAMES[found]}, and was read so."
        return frame

    return read


def file_notes(frames: Frames) -> list[str]:
    """What was noticed while a source's files were read."""
    return [frame.attrs[NOTE] for frame in frames.values() if NOTE in frame.attrs]


def delimiter_of(content: str, separator: str) -> str:
    """The separator, unless it finds one column and another one finds as many in each of the first rows."""
    if widths(content, separator) != {1}:
        return separator
    others = [other for other in NAMES if other != separator and len(widths(content, other)) == 1]
    return max(others, key=lambda other: max(widths(content, other)), default=separator)


def widths(content: str, separator: str) -> set[int]:
    """How many fields the first rows have with a separator."""
    return {len(fields) for (_, fields), _ in zip(records(content, separator), range(SEEN))}


def records(content: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The line at which each record begins, from 1, and its fields; empty lines are left out."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    reader, line = csv.reader(io.StringIO(content, newline=""), delimiter=separator), 1
    for fields in reader:
        if fields:
            yield line, fields
        line = reader.line_num + 1


def frame_of(path: Path, found: list[tuple[int, list[str]]], content: str, separator: str) -> pd.DataFrame:
    """A file's records as a frame. Raises AutopeftError for rows that are wider than the header, and for an open quote."""
    if not found:
        raise AutopeftError(f"{path} has no header. Give a file with a header and labelled rows.")
    (_, header), *rows = found
    twice = [name for name, number in Counter(header).items() if number > 1]
    if twice:
        raise AutopeftError(f"{path} has {header.count(twice[0])} columns called '{twice[0]}': give each its own name.")
    check_quotes(path, content, found)
    wide = [(line, len(fields)) for line, fields in rows if len(fields) > len(header)]
    if wide:
        raise AutopeftError(
            f"{len(wide):,} of {len(rows):,} rows of {path} have more fields than its header's {len(header)}; line "
            f"{wide[0][0]}, the first of them, has {wide[0][1]}: quote the texts that hold {NAMES[separator]} or line breaks."
        )
    filled = [fields + [None] * (len(header) - len(fields)) for _, fields in rows]
    return pd.DataFrame(filled, columns=header, dtype=object)


def check_quotes(path: Path, content: str, found: list[tuple[int, list[str]]]) -> None:
    """Raise AutopeftError where the last record is one text with a line break because its quote is never closed."""
    line, fields = found[-1]
    if content.count('"') % 2 and any("\n" in field or "\r" in field for field in fields):
        raise AutopeftError(
            f"A quote that opens in line {line} of {path} is never closed, so the rest of the file would be one text: "
            "close it, or write each quote within a text twice."
        )
