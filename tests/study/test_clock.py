"""What is left of a search's time: the trials' share of it, and the full-length runs that still fit."""

import time

import pytest

from autopeft.study.clock import REPORT, Clock, minutes, said
from autopeft.study.spec import StudySpec
from autopeft.study.time_plan import Effort, Pace, stages

SPEC = StudySpec(batch_size=16, time="10m")
PACE = Pace(0.05, 4000, 600, 1000)
EFFORT = Effort(15, 150, 5, 3, True)


def clock(left):
    return Clock(time.monotonic() + left + REPORT, EFFORT, PACE, SPEC)


def test_what_is_left_is_split_as_planned():
    planned = stages(EFFORT, PACE, SPEC)
    share = planned["trials"] / (planned["trials"] + planned["full length"])
    assert clock(600).trials_until() - time.monotonic() == pytest.approx(600 * share, abs=0.5)
    assert clock(-50).left == 0


def test_a_slower_machine_gets_fewer_finalists_then_no_ceiling_then_one_finalist():
    enough = stages(EFFORT, PACE, SPEC)["full length"]
    found = [clock(enough).full_length(slower) for slower in (1.0, 1.5, 2.0, 3.0, 20.0)]
    assert found[0] == (5, True) and found[-1] == (1, False)
    assert [f for f, _ in found] == sorted((f for f, _ in found), reverse=True) or not all(c for _, c in found)


def test_how_much_slower_is_by_the_trials_that_ran():
    expected = stages(EFFORT, PACE, SPEC)["trials"]
    assert clock(600).slower(15, 2 * expected) == pytest.approx(2)
    assert clock(600).slower(0, 3.0) == 1


def test_the_plan_is_one_sentence():
    text = said(EFFORT, PACE, SPEC)
    assert text.startswith("Plan for 10m, at 50 ms a step: 15 trials of up to 150 steps (") and "ceiling" in text
    assert minutes(75) == "1 min 15 s" and minutes(9.6) == "10 s"
