"""Packs that no worker has begun: what every executor has."""

from __future__ import annotations

from collections import deque

from autopeft.executor.seam import Pack, Ticket


class Waiting:
    """Gives out tickets, and keeps packs in their order until a slot is free."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Ticket, Pack]] = deque()
        self._submitted = 0

    def submit(self, pack: Pack) -> Ticket:
        """Have a pack trained as soon as a slot is free."""
        self._submitted += 1
        self._waiting.append((self._submitted, pack))
        self._give()
        return self._submitted

    def cancel(self, ticket: Ticket) -> None:
        """Forget a pack."""
        self._waiting = deque(x for x in self._waiting if x[0] != ticket)

    def close(self) -> None:
        """Forget what waits."""
        self._waiting.clear()

    def _give(self) -> None:
        """Give waiting packs to idle workers, where there are any."""
