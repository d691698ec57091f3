"""Signs of life: how many batches this process has passed through a model, and whether it may go on to the next one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

from autopeft.base.steady import steady

LONGEST = 600.0  # seconds that one batch counts at most: a clock may jump

_passed = 0
_left = inf  # seconds
_looked = 0.0


class OverTime(Exception):
    """What this process does has taken longer than it may."""


def sign_of_life() -> None:
    """Say that this process goes on: once for each batch. Raises OverTime."""
    global _passed, _left, _looked
    _passed += 1
    if _left == inf:
        return
    now = steady()
    _left, _looked = _left - min(now - _looked, LONGEST), now
    if _left < 0:
        raise OverTime


def signs_of_life() -> int:
    """How many there have been."""
    return _passed


@contextmanager
def time_limited(seconds: float | None) -> Iterator[None]:
    """Let what the body does be over its time after so many seconds, None for never: between two batches it is noticed."""
    global _left, _looked
    _left, _looked = inf if seconds is None else seconds, steady()
    try:
        yield
    finally:
        _left = inf
