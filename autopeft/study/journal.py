"""Optuna's journal file, kept whole: a line that a full disk or a kill cut short is taken back."""

from typing import Any

from optuna.storages.journal import JournalFileBackend


class WholeLineJournal(JournalFileBackend):
    """Optuna appends to its journal; half a line left there would make everything after it unreadable."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        drop_partial_line(path)
        self._path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append to the journal; a failure leaves whole lines only."""
        try:
            super().append_logs(logs)
        except OSError:
            drop_partial_line(self._path)
            raise


def drop_partial_line(path: str) -> None:
    """Cut a file off after its last line break."""
    with open(path, "rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
