"""When a worker is given up: by what has passed, whatever its clock says."""

from autopeft.executor import watch
from autopeft.executor.watch import SILENCE, Watch


def seen(monkeypatch, ticks, beating=True, time_limit=None):
    """After how many looks a worker is given up, None for never."""
    clock = iter(ticks)
    monkeypatch.setattr(watch, "steady", lambda: next(clock))
    watched = Watch()
    watched.begin(time_limit)
    for number in range(len(ticks) - 2):
        if beating:
            watched.beat()
        if watched.gives_up():
            return number, watched.said
    return None


def test_one_that_shows_signs_of_life_is_given_up_at_its_time_limit_only(monkeypatch):
    ticks = [float(n) for n in range(1000)]
    assert seen(monkeypatch, ticks) is None
    assert seen(monkeypatch, ticks, time_limit=300) == (
        300,
        "it had not ended when its 300 s were over, far more than expected",
    )
    assert "no sign of life" in seen(monkeypatch, ticks, beating=False, time_limit=5000)[1]


def test_hours_that_the_clock_jumps_or_the_driver_stands_still_are_none_of_a_worker(monkeypatch):
    """They counted as silence, and every worker as hung."""
    ticks = [float(n) + 3600 * (n // 20) for n in range(int(SILENCE) // 2)]
    assert seen(monkeypatch, ticks, beating=False, time_limit=1800) is None
