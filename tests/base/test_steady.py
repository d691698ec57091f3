"""The clock for durations: what `time.monotonic` does that it should not."""

from autopeft.base import steady


def test_it_goes_on_from_where_it_was_when_the_clock_jumps_back(monkeypatch):
    told = iter([100.0, 101.0, 11_000.0, -5_000.0, -4_990.0, 90.0])
    monkeypatch.setattr(steady, "_last", 0.0)
    monkeypatch.setattr(steady, "_behind", 0.0)
    monkeypatch.setattr(steady.time, "monotonic", lambda: next(told))
    assert [steady.steady() for _ in range(6)] == [100.0, 101.0, 11_000.0, 11_000.0, 11_010.0, 16_090.0]
