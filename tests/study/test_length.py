"""How long a whole run is: what a study says, and what follows from its rows where it says nothing."""

import pytest

from autopeft.base.errors import AutopeftError
from autopeft.prepare import prepare
from autopeft.study.identity import check_same
from autopeft.study.length import (
    as_stored,
    default_epochs,
    ending_in_words,
    evaluation_interval,
    evaluation_steps,
    length_in_words,
    patience_of,
    with_length,
)
from autopeft.study.spec import StudySpec

OLD = {k: v for k, v in StudySpec(full_steps=300).model_dump().items() if k != "epochs"}  # of release 0.1


@pytest.mark.parametrize(
    ("rows", "epochs", "steps"), [(12_000, 3, 1125), (3200, 3, 300), (1600, 6, 300), (224, 20, 140), (5, 20, 20)]
)
def test_three_epochs_or_of_few_rows_as_many_as_make_about_three_hundred_steps(rows, epochs, steps):
    spec = with_length(StudySpec(batch_size=32), rows)
    assert (spec.epochs, spec.full_steps) == (epochs, steps) == (default_epochs(rows, 32), spec.steps)


def test_what_is_said_of_the_length_holds():
    assert with_length(StudySpec(epochs=1.5, batch_size=32), 3200).steps == 150
    assert with_length(StudySpec(epochs=0.001, batch_size=32), 3200).steps == 1
    spec = with_length(StudySpec(full_steps=300), 224)
    assert (spec.full_steps, spec.epochs) == (300, None)


def test_the_rows_that_are_trained_on_count():
    spec = prepare(StudySpec(train_rows=320, validation_rows=20, test_rows=20)).spec
    assert (spec.epochs, spec.steps) == (20, 200)


def test_two_lengths_are_refused_in_one_sentence():
    with pytest.raises(AutopeftError, match=r"full_steps=80 and epochs=3 \(30 steps of these data\) are two lengths"):
        with_length(StudySpec(full_steps=80, epochs=3), 320)
    resolved = with_length(StudySpec(epochs=3), 320)
    assert with_length(resolved, 320) == resolved, "what a study folder holds"


def test_a_length_on_the_command_line_takes_the_place_of_the_studys():
    assert StudySpec.read("quickstart", **{"epochs": 2.0}).full_steps is None
    assert StudySpec.read("quickstart").full_steps == 64 and StudySpec.read("quickstart").epochs is None


def test_with_a_time_the_length_is_planned_unless_it_is_given():
    assert with_length(StudySpec(time="10m"), 3200).full_steps is None
    assert with_length(StudySpec(time="10m", epochs=2), 3200).full_steps == 200
    assert StudySpec.read("quickstart", **{"time": "10m"}).full_steps is None


def test_a_run_is_scored_twice_an_epoch_four_to_eight_times():
    assert evaluation_steps(1125, 3.0) == (187, 374, 561, 748, 935, 1125)
    assert len(evaluation_steps(140, 20.0)) == 8 and len(evaluation_steps(150, 1.5)) == 4
    assert evaluation_steps(3, 3.0) == (1, 2, 3)
    assert evaluation_interval(1125, 3.0) == 187


@pytest.mark.parametrize("epochs", [None, 0.3, 1.0])
def test_a_run_that_sees_no_row_twice_is_trained_to_its_end(epochs):
    assert evaluation_steps(100, epochs) == () and patience_of(epochs) is None
    assert evaluation_interval(100, epochs) is None and ending_in_words(100, epochs) == ""


def test_a_length_in_words():
    assert length_in_words(1125, 12_000, 32) == "3 epochs, 1,125 steps"
    assert length_in_words(1, 32, 32) == "1 epoch, 1 step"
    assert length_in_words(64, 4000, 16) == "0.256 epochs, 64 steps"


def resumed(asked: StudySpec, stored: dict, rows: int = 12_000) -> StudySpec:
    spec = with_length(as_stored(asked, stored), rows)
    check_same(spec, stored, "runs/x")
    return spec


def test_a_study_of_an_earlier_release_is_resumed_at_its_steps():
    spec = resumed(StudySpec(), OLD)
    assert (spec.full_steps, spec.epochs) == (300, None) and StudySpec(**OLD).steps == 300
    assert resumed(StudySpec(full_steps=300), OLD).epochs is None
    with pytest.raises(AutopeftError, match="made with epochs=None and this command asks for epochs=3.0"):
        resumed(StudySpec(epochs=3), OLD)


def test_a_study_of_an_earlier_release_goes_on_choosing_as_it_began():
    stored = {k: v for k, v in OLD.items() if k not in ("portfolio", "rates")} | {"sampler": "tpe"}
    spec = resumed(StudySpec(), stored)
    assert (spec.sampler, spec.rates, spec.portfolio) == ("tpe", 1, False)
    with pytest.raises(AutopeftError, match="made with sampler='tpe' and this command asks for sampler='gp'"):
        resumed(StudySpec(sampler="gp"), stored)


def test_a_resumed_study_is_as_long_as_it_was_made_for():
    stored = with_length(StudySpec(), 12_000).model_dump()
    assert resumed(StudySpec(), stored).steps == 1125
    assert resumed(StudySpec(epochs=3), stored).steps == 1125
    with pytest.raises(AutopeftError, match="made with epochs=3.0 and this command asks for epochs=None"):
        resumed(StudySpec(full_steps=1125), stored)
    longer = with_length(StudySpec(epochs=5), 12_000).model_dump()
    assert resumed(StudySpec(), longer).epochs == 5


def test_another_study_in_the_folder_is_refused_by_what_differs():
    stored = with_length(StudySpec(data="a.csv"), 12_000).model_dump()
    with pytest.raises(AutopeftError, match="made with data='a.csv' and this command asks for data='b.csv'"):
        resumed(StudySpec(data="b.csv"), stored, rows=500)


def test_what_was_planned_for_a_time_is_kept():
    planned = {"full_steps": 90, "epochs": 0.36, "trials": 12, "finalists": 3, "seeds": 2, "ceiling": False}
    stored = StudySpec(time="10m").model_dump() | planned
    spec = with_length(as_stored(StudySpec(time="10m", batch_size=32), stored), 8000)
    assert (spec.trials, spec.steps, spec.ceiling) == (12, 90, False)
    assert as_stored(StudySpec(time="10m", trials=20), stored).trials == 20
