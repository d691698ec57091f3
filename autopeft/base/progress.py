"""What a user sees while long work runs: a live bar on a terminal, plain lines elsewhere, nothing when quiet."""

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bar

from autopeft.base.steady import steady


class Progress:
    """Shows what is going on; it writes to stderr, so that stdout holds results only.

    Args:
        quiet: show nothing.

    Example:
        >>> import autopeft
        >>> progress = autopeft.Progress(quiet=True)  # without quiet, pass it to `search` to see what it does
        >>> progress.note("Nobody sees this.")
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False, quiet=quiet)
        self._live = self._console.is_terminal and not quiet
        self._bar: Bar | None = None

    def note(self, text: str) -> None:
        """One line about what is going on."""
        self._console.print(text, markup=False, soft_wrap=True)

    def stage(self, title: str, total: int, done: int = 0) -> None:
        """Begin a stage of `total` pieces of work, some of which may be done already.

        Args:
            title: what the stage is called.
            total: pieces of work in it.
            done: those that an earlier run has done.
        """
        self.close()
        self._title, self._total, self._done, self._began, self._from = title, total, done, steady(), done
        if self._live:
            self._bar = Bar(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.completed}/{task.total}"),
                TextColumn("{task.fields[left]}"),
                console=self._console,
            )
            self._bar.start()
            self._task = self._bar.add_task(title, total=total, completed=done, left="")

    def more(self, pieces: int) -> None:
        """Add work to the stage."""
        self._total += pieces
        if self._bar:
            self._bar.update(self._task, total=self._total)

    def step(self, text: str) -> None:
        """One piece of work is done."""
        self._done += 1
        left = self._time_left()
        self.note(f"[{self._done}/{self._total}] {text}" + ("" if self._live else f"  ({left})"))
        if self._bar:
            self._bar.update(self._task, completed=self._done, left=left)

    def _time_left(self) -> str:
        per_piece = (steady() - self._began) / max(1, self._done - self._from)
        seconds = per_piece * max(0, self._total - self._done)
        return f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"

    def close(self) -> None:
        """End the stage and take its bar away."""
        if self._bar:
            self._bar.stop()
            self._bar = None
