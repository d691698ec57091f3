"""How much fits into a time: more time never gives less, what is asked for stays, and what fits is within the time."""

import pytest

from autopeft.base.errors import AutopeftError
from autopeft.study.spec import PLANNED, StudySpec
from autopeft.study.time_plan import LEAST_STEPS, Effort, Pace, planned, stages

SPEC = StudySpec(batch_size=16)
PACE = Pace(0.05, 4000, 600, 1000)


@pytest.mark.parametrize("seconds", [180, 240, 600, 1800, 7200])
def test_what_is_planned_fits_and_has_enough_steps(seconds):
    effort = planned(seconds, PACE, SPEC, {})
    assert sum(stages(effort, PACE, SPEC).values()) <= seconds and effort.full_steps >= LEAST_STEPS


def test_more_time_gives_more_up_to_so_many_passes_over_the_data():
    found = [planned(seconds, PACE, SPEC, {}) for seconds in (180, 300, 600, 1200, 2400, 5000, 40_000)]
    assert [e.trials for e in found] == sorted(e.trials for e in found) and found[0].trials < found[-1].trials
    assert found[-1].full_steps == 3 * 4000 / 16 and found[-1].ceiling and not found[0].ceiling


def test_few_rows_are_passed_over_as_often_as_without_a_time():
    assert planned(40_000, Pace(0.05, 480, 100, 100), SPEC, {}).full_steps == 10 * 480 / 16


def test_the_evaluations_of_runs_that_may_end_early_are_in_the_plan():
    effort = Effort(15, 750, 5, 3, True)
    early, whole = (stages(effort, PACE, s)["full length"] for s in (SPEC, SPEC.model_copy(update={"full_steps": 750})))
    assert whole < early < 1.2 * whole


def test_what_is_asked_for_stays():
    effort = planned(900, PACE, SPEC, {"trials": 25, "seeds": 2})
    assert effort.trials == 25 and effort.seeds == 2
    assert planned(3600, PACE, SPEC, {"full_steps": 100}).full_steps == 100


def test_few_steps_that_are_asked_for_are_planned():
    """They had counted as too few, and the sentence about it ended in a TypeError."""
    effort = planned(900, PACE, SPEC, {"full_steps": 16})
    assert effort.full_steps == 16 and effort.trials > planned(900, PACE, SPEC, {}).trials
    with pytest.raises(AutopeftError, match="In 60 s a search"):
        planned(60, PACE, SPEC, {"full_steps": 4000})


def test_too_little_time_is_one_sentence_that_says_what_would_do():
    with pytest.raises(AutopeftError, match="In 30 s a search of these data learns nothing here: .* about [0-9]+ s"):
        planned(30, PACE, SPEC, {})


def test_a_time_on_the_command_line_sets_aside_what_the_study_said_of_what_is_planned():
    spec = StudySpec.read("quickstart", time="10m", seeds=2)
    assert not {"trials", "full_steps", "finalists"} & spec.model_fields_set and spec.seeds == 2
    assert spec.batch_size == 16 and set(PLANNED) == set(Effort(1, 1, 1, 1, False).to_json())
    with pytest.raises(AutopeftError, match="'time' in quickstart.yaml or the command line: .*give a time such as"):
        StudySpec.read("quickstart", time="soon")
