"""The executor of one process: packs are trained by whoever asks for what has ended."""

from __future__ import annotations

from collections.abc import Sequence

from autopeft.executor.seam import Event, Finished, Lost, Recipe
from autopeft.executor.waiting import Waiting
from autopeft.executor.watch import over_time
from autopeft.executor.work import do
from autopeft.proxy.beat import OverTime, time_limited
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
        """Train the next pack; whether it is over its time is seen between two batches only."""
        if not self._waiting:
            return ()
        ticket, pack = self._waiting.popleft()
        try:
            with time_limited(pack.time_limit):
                return (Finished(ticket, do(self._trainer, pack)),)
        except OverTime:
            return (Lost(ticket, over_time(pack.time_limit or 0.0), died=False),)
