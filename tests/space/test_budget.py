import pytest

from autopeft.base.errors import AutopeftError
from autopeft.space import parse_budget


@pytest.mark.parametrize(
    "text, number",
    [
        ("0.5%", 112_500),
        ("300k", 300_000),
        ("1.5M", 1_500_000),
        ("42", 42),
        (" 2 % ", 450_000),
        (7, 7),
        ("1e-1%", 22_500),
    ],
)
def test_every_spelling(text, number):
    assert parse_budget(text, 22_500_000) == number


def test_no_budget():
    assert parse_budget(None, 10) is None


@pytest.mark.parametrize("text", ["0", "0%", "-3k", "lots", "", "5%%", "nan", "inf"])
def test_nonsense_is_one_sentence(text):
    with pytest.raises(AutopeftError, match="budget"):
        parse_budget(text, 1000)
