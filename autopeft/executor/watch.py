"""Whether a worker that is busy still goes on."""

from __future__ import annotations

from autopeft.base.steady import steady

POLL = 1.0  # seconds between two looks at the workers
SILENCE = 600.0  # seconds without a sign of life after which a worker hangs ...
SLOW = 50.0  # ... or, if that is more, so many times the longest that it has been silent before


class Watch:
    """Of one worker, while it is busy."""

    def __init__(self) -> None:
        self.begin()

    def begin(self, time_limit: float | None = None) -> None:
        """It begins something new, which may take so many seconds; None for as long as it shows signs of life."""
        self.silent = self._longest = self.busy = 0.0
        self._time_limit = float("inf") if time_limit is None else time_limit
        self._looked = steady()

    def beat(self) -> None:
        """It has shown a sign of life."""
        self._longest, self.silent = max(self._longest, self.silent), 0.0

    def gives_up(self) -> bool:
        """Whether it hangs or is over its time; a time in which this process stood still, or over which its clock jumped, does not count."""
        now = steady()
        passed = min(now - self._looked, 5 * POLL)
        self._looked = now
        self.silent, self.busy = self.silent + passed, self.busy + passed
        return self.busy > self._time_limit or self.silent > max(SILENCE, SLOW * self._longest)

    @property
    def said(self) -> str:
        """Why it counts as lost."""
        if self.busy > self._time_limit:
            return over_time(self._time_limit)
        return f"it showed no sign of life for {self.silent:,.0f} s"


def over_time(time_limit: float) -> str:
    """Why a pack counts as lost that has taken longer than it may."""
    return f"it had not ended when its {time_limit:,.0f} s were over, far more than expected"
