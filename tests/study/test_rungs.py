"""Shares of the full length -> steps and validation rows."""

import pytest

from autopeft.base.errors import AutopeftError
from autopeft.study.rungs import Rung, rungs_of, shares_of


def test_shares_become_steps_and_rows_and_the_full_length_is_always_last():
    assert rungs_of("1/8,1/2", 64, 600) == (Rung(8, 200), Rung(32, 300), Rung(64, 600))
    assert rungs_of("none", 64, 600) == (Rung(64, 600),)
    assert rungs_of("0.5, 0.25, 1", 100, 100) == (Rung(25, 34), Rung(50, 50), Rung(100, 100))


def test_the_full_length_is_implied_and_may_be_written():
    assert shares_of("1/4,1/2") == shares_of("1/4,1/2,1") == shares_of("0.5, 0.25") == (1 / 4, 1 / 2, 1)
    assert shares_of("none") == shares_of("1") == (1,)


def test_rungs_that_fall_together_are_one():
    assert [r.steps for r in rungs_of("1/9,1/8,1/2", 4, 10)] == [1, 2, 4]


@pytest.mark.parametrize("text", ["0", "2", "-1/2", "half", "1/0", ""])
def test_what_is_no_share_is_one_sentence(text):
    with pytest.raises(AutopeftError, match="rungs is no share between 0 and 1"):
        rungs_of(text, 64, 600)
