"""ledger.json: how many lines each file of a study has, and the last one's checksum. What is missing at an end shows.

It is written after the lines are, so it is never ahead of them.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from autopeft.base.checked import checked, parsed
from autopeft.base.errors import AutopeftError
from autopeft.base.files import no_link
from autopeft.base.packages import Note
from autopeft.base.seal import KEY, is_whole, sealed

Entry = tuple[int, str]  # lines, checksum of the last one


class Ledger:
    """The lines that a study has written.

    Args:
        folder: the study's.
        note: told where the ledger itself is damaged.
    """

    def __init__(self, folder: Path, note: Note) -> None:
        self.path, self._note = folder / "ledger.json", note

    def entry(self, name: str) -> Entry:
        """What a file holds at least, to be asked before it is read: who writes may be adding to it."""
        return self._entries().get(name, (0, ""))

    def write(self, name: str, entry: Entry) -> None:
        """Say what a file holds now."""
        entries = {**self._entries(), name: entry}
        beside = self.path.with_name(self.path.name + ".part")
        with open(beside, "w", encoding="utf-8", opener=no_link) as file:
            file.write(sealed(entries))  # not flushed to the disk: an older one is true as well
        os.replace(beside, self.path)

    def say_nothing_is_known(self, why: str) -> None:
        """Note that the ledger is damaged or missing; the next line that is written begins it anew."""
        self._note(f"{self.path} is {why}: whether the study's files lack something at their ends cannot be told.")

    def _entries(self) -> dict[str, Entry]:
        if not self.path.is_file():
            return {}
        text, data = self.path.read_bytes(), dict[str, Entry]()
        try:
            if not is_whole(text):
                raise ValueError("damaged")
            data = checked(dict[str, Entry], {k: v for k, v in parsed(text).items() if k != KEY})
        except (ValueError, AttributeError):
            self._note(
                f"{self.path} is damaged: whether the study's files lack something at their ends cannot be told."
            )
        return data


def lost_lines(entry: Entry, checksums: Sequence[str], path: Path) -> int:
    """How many lines a file has lost at its end.

    Args:
        entry: of the ledger.
        checksums: of the lines that there are.
        path: for the message.

    Raises:
        AutopeftError: these are not the lines that were written.
    """
    lines, last = entry
    if lines > len(checksums):
        return lines - len(checksums)
    if lines and checksums[lines - 1] != last:
        raise AutopeftError(
            f"{path} is not the file that this study wrote: restore it, or start the study anew in another folder with --out."
        )
    return 0
