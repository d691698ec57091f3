"""A clock for durations and deadlines."""

import time

_last = _behind = 0.0


def steady() -> float:
    """Seconds on a clock that never goes back: where `time.monotonic` does, as on a machine that was moved, it goes on."""
    global _last, _behind
    now = time.monotonic() + _behind
    if now < _last:
        _behind, now = _behind + _last - now, _last
    _last = now
    return now
