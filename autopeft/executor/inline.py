"""The executor of one process: packs are trained by whoever asks for what has ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from autopeft.executor.seam import Event, Finished, Pack, Recipe, Ticket
from autopeft.executor.work import do
from autopeft.proxy.trainer import Trainer


class Inline:
    """Trains in this process, with all of its threads.

    Args:
        trainer: what another executor's workers would open.
    """

    slots = 1

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._waiting: deque[tuple[Ticket, Pack]] = deque()
        self._submitted = 0

    def start(self, recipe: Recipe) -> None:
        """Nothing is left to open."""

    def submit(self, pack: Pack) -> Ticket:
        """Have a pack trained."""
        self._submitted += 1
        self._waiting.append((self._submitted, pack))
        return self._submitted

    def events(self, seconds: float) -> Sequence[Event]:
        """Train the next pack, however long it takes."""
        if not self._waiting:
            return ()
        ticket, pack = self._waiting.popleft()
        return (Finished(ticket, do(self._trainer, pack)),)

    def cancel(self, ticket: Ticket) -> None:
        """Forget a pack."""
        self._waiting = deque(x for x in self._waiting if x[0] != ticket)

    def close(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
