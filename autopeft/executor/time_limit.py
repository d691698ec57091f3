"""How long a pack may take: by the slowest step so far, so generous that only what would never end is over it."""

from __future__ import annotations

from autopeft.executor.order import Answer, Order
from autopeft.executor.seam import Pack

FACTOR = (
    100.0  # times as long as expected: a step of another method, on fewer cores, and the scoring of splits are in it
)
FLOOR = 1800.0  # seconds that every pack has: its worker may have to fill a store of hidden states first


class TimeLimit:
    """The time limit of packs.

    Args:
        slowest: seconds of a training step, as far as one was timed; 0 where none was.
    """

    def __init__(self, slowest: float = 0.0) -> None:
        self._slowest = slowest

    def of(self, pack: Pack) -> float | None:
        """Seconds; None as long as nothing is known."""
        steps = sum(order.job.until for order in pack.orders)
        return max(FLOOR, FACTOR * self._slowest * steps) if self._slowest else None

    def see(self, order: Order, answer: Answer) -> None:
        """Learn from what has ended."""
        if answer.curve:
            self._slowest = max(self._slowest, answer.curve.seconds / order.job.until)
