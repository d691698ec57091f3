"""A terminal or pipe whose encoding lacks a character -> the nearest ASCII instead of an error."""

import codecs
import sys
import unicodedata
from io import TextIOWrapper

NAME = "autopeft.ascii"
NEAREST = {"±": "+-", "×": "x", "–": "-", "—": "-", "…": "...", "•": "*", "█": "#", "─": "-", "│": "|"}  # noqa: RUF001


def print_anywhere() -> None:
    """Let stdout and stderr write what their encoding lacks as ASCII."""
    codecs.register_error(NAME, nearest)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors=NAME)


def nearest(error: UnicodeError) -> tuple[str, int]:
    """What is written in the place of characters that an encoding lacks, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(plain, error.object[error.start : error.end])), error.end


def plain(character: str) -> str:
    """A character without its accents, or what stands for it; a question mark where nothing does."""
    if character in NEAREST:
        return NEAREST[character]
    letters = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return letters or "?"
