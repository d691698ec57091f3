"""The executor of one process: packs are trained by whoever asks for what has ended."""

from __future__ import annotations

from collections.abc import Sequence

from autopeft.executor.seam import Event, Finished, Recipe
from autopeft.executor.waiting import Waiting
from autopeft.executor.work import do
from autopeft.proxy.trainer import Trainer


class Inline(Waiting):
    """Trains in this process, with all of its threads.

    Args:
        trainer: what another executor's workers would open.
    """

    slots = 1

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self._trainer = trainer

    def start(self, recipe: Recipe) -> None:
        """Nothing is left to open."""

    def events(self, seconds: float) -> Sequence[Event]:
        """Train the next pack, however long it takes."""
        if not self._waiting:
            return ()
        ticket, pack = self._waiting.popleft()
        return (Finished(ticket, do(self._trainer, pack)),)
