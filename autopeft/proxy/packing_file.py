"""What timing said of packing, a line per family in the study folder: shared by workers, and kept for every resume.

Imports no torch, so that the report can read it.
"""

from __future__ import annotations

from pathlib import Path

from autopeft.base.checked import parsed
from autopeft.base.seal import is_whole, sealed
from autopeft.configuration import Configuration

NAME = "packing.jsonl"
Key = tuple[str, int]  # a configuration's key with its learning rate at 0, and how many runs of it


class PackingFile:
    """The decisions of a study; of two workers that time one family at once, the one that wrote first decides.

    Args:
        folder: the study's.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def read(self) -> dict[Key, bool]:
        """Whether each family is packed. A line that was not finished or was damaged says nothing: it is timed again."""
        found: dict[Key, bool] = {}
        text = self.path.read_text(encoding="utf-8", errors="replace") if self.path.is_file() else ""
        for line in text.splitlines():
            try:
                about = parsed(line) if is_whole(line.encode(), unsealed=True) else {}
                found.setdefault((about["key"], about["runs"]), bool(about["packed"]))
            except (ValueError, KeyError, TypeError):
                continue
        return found

    def add(self, configuration: Configuration, runs: int, packed: bool, seconds: dict[str, float | None]) -> None:
        """Add a decision, with the seconds per step on which it rests."""
        about = {"key": configuration.key, "runs": runs, "packed": packed, "seconds_per_step": seconds}
        line = sealed({**about, "configuration": configuration.to_json()})
        with open(self.path, "ab", buffering=0) as file:  # one write at the end of the file
            file.write(f"\n{line}\n".encode())  # a new line first: the last one may not have been finished

    def summary(self) -> dict[str, int]:
        """How many families were timed, and how many of them are packed."""
        found = self.read()
        return {"families": len(found), "packed": sum(found.values())}
