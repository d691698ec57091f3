"""Times and sizes as people write them."""

import pytest

from autopeft.base.quantities import bytes_of, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1.5h", 5400), (" 1 d ", 86400)]
)
def test_times_are_read(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m30", "30 minutes", "1h-30m"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match="give a time such as"):
        seconds_of(text)


@pytest.mark.parametrize(("text", "size"), [("2GB", 2 * 10**9), ("500 MB", 5 * 10**8), ("1.5k", 1500), ("0", 0)])
def test_sizes_are_read(text, size):
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "GB", "2 gigabytes", "-1MB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="give a size such as"):
        bytes_of(text)
