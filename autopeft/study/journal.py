"""Optuna's journal file, kept whole: a line that a kill cut short is taken back, and what was damaged later is refused.

Each line ends with a checksum of itself and the line before it, and the study's ledger knows how many there are. The lines
of a journal of release 0.1 have none; theirs begin with the first that is added.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend, JournalFileSymlinkLock
from typing_extensions import override

from autopeft.base.errors import AutopeftError
from autopeft.base.seal import KEY, chain, digest, dumped
from autopeft.study.ledger import Entry, Ledger, lost_lines


class NoLock(JournalFileSymlinkLock):
    """In the place of Optuna's lock: the study's folder has one writer (`autopeft.base.lock`), whose lock no kill leaves behind."""

    @override
    def acquire(self) -> bool:
        return True

    @override
    def release(self) -> None:
        pass


class WholeLineJournal(JournalFileBackend):
    """Optuna appends to its journal; half a line left there would make everything after it unreadable.

    Args:
        path: the file, which is made if it does not exist.
        ledger: the study's.
        unsealed: whether the study is one of release 0.1.

    Raises:
        AutopeftError: the file is damaged, or lacks what it held.
    """

    def __init__(self, path: Path, ledger: Ledger, unsealed: bool = False) -> None:
        self._path, self._ledger, self._unsealed = path, ledger, unsealed
        read_journal(path, ledger, unsealed)
        super().__init__(str(path), NoLock(str(path)))
        self._end = self._found_end()
        self._held: list[dict[str, Any]] | None = None  # what is to be written together

    @contextmanager
    def together(self) -> Iterator[None]:
        """What the body appends is written at its end, at once, or none of it: a part might be another decision."""
        if self._held is not None:  # an outer body writes it
            yield
            return
        held: list[dict[str, Any]] = []
        self._held = held
        try:
            yield
        finally:
            self._held = None
        if held:
            self.append_logs(held)

    @override
    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The lines of the file, and what is held back."""
        written, _ = self._end
        if log_number_from < written:
            yield from super().read_logs(log_number_from)
        yield from (self._held or [])[max(0, log_number_from - written) :]

    @override
    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append to the journal; a failure leaves it as it was."""
        if self._held is not None:
            self._held += json.loads(json.dumps(logs))  # as they will be read
            return
        (lines, last), size = self._end, self._path.stat().st_size
        sealed = []
        for log in logs:
            last = digest(dumped(log)[:-1].encode(), last)
            sealed.append({**log, KEY: last})
        try:
            super().append_logs(sealed)
        except OSError:
            os.truncate(self._path, size)
            raise
        self._end = lines + len(logs), last
        self._ledger.write(self._path.name, self._end)

    def _found_end(self) -> Entry:
        drop_partial_line(self._path)
        checksums = checksums_of(self._path, self._path.read_bytes(), self._unsealed)
        return len(checksums), checksums[-1] if checksums else ""


@contextmanager
def written_together(study: optuna.Study) -> Iterator[None]:
    """What the body tells a study is written into its journal at once; another storage writes as it always does."""
    backend = getattr(study._storage, "_backend", None)
    with backend.together() if isinstance(backend, WholeLineJournal) else nullcontext():
        yield


class ReadJournal(BaseJournalBackend):
    """A journal as it was when it was opened, while another process may write. Arguments are those of `WholeLineJournal`."""

    def __init__(self, path: Path, ledger: Ledger, unsealed: bool = False) -> None:
        self._logs = [json.loads(line) for line in read_journal(path, ledger, unsealed)]

    @override
    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self._logs[log_number_from:]

    @override
    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise NotImplementedError("it is only read")


def read_journal(path: Path, ledger: Ledger, unsealed: bool) -> list[bytes]:
    """The whole lines of a journal; a last one that is being written is left out. Raises AutopeftError as above."""
    entry = ledger.entry(path.name)
    content = path.read_bytes() if path.is_file() else b""
    if content and not unsealed and not ledger.path.is_file():
        ledger.say_nothing_is_known("missing")
    lost = lost_lines(entry, checksums_of(path, content, unsealed), path)
    if lost:
        raise AutopeftError(
            f"{path} has lost its last {lost} of {entry[0]} lines, and trials with them: restore the file, or start the "
            "study anew in another folder with --out."
        )
    return whole_lines(content)


def checksums_of(path: Path, content: bytes, unsealed: bool) -> list[str]:
    """Of the whole lines of a journal. Raises AutopeftError for one that is damaged."""
    found = list(chain(whole_lines(content), unsealed))
    if found and found[-1] is None:
        raise AutopeftError(
            f"Line {len(found)} of {path} is damaged: restore the file, or start the study anew in another folder with "
            "--out."
        )
    return [checksum for checksum in found if checksum]


def whole_lines(content: bytes) -> list[bytes]:
    """The lines that have their line break, without it."""
    return content.split(b"\n")[:-1]


def drop_partial_line(path: Path) -> None:
    """Cut a file off after its last line break."""
    with open(path, "rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
