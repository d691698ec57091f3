"""Whether a worker that is busy still goes on."""

from __future__ import annotations

import time

POLL = 1.0  # seconds between two looks at the workers
SILENCE = 600.0  # seconds without a sign of life after which a worker hangs ...
SLOW = 50.0  # ... or, if that is more, so many times the longest that it has been silent before


class Watch:
    """Of one worker, while it is busy."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """It begins something new."""
        self.silent = self._longest = 0.0
        self._looked = time.monotonic()

    def beat(self) -> None:
        """It has shown a sign of life."""
        self._longest, self.silent = max(self._longest, self.silent), 0.0

    def hangs(self) -> bool:
        """Whether it has shown none for too long; a time in which this process stood still does not count."""
        now = time.monotonic()
        self.silent += min(now - self._looked, 5 * POLL)
        self._looked = now
        return self.silent > max(SILENCE, SLOW * self._longest)

    @property
    def said(self) -> str:
        """Why it counts as lost."""
        return f"it showed no sign of life for {self.silent:,.0f} s"
