"""The baselines train what they are given and say what it took."""

import math
from dataclasses import replace

import pytest

pytest.importorskip("accelerate")  # the Trainer's

from loops import LOOPS, sample

from autopeft.prepare import prepare
from autopeft.study.spec import StudySpec

SPEC = StudySpec(
    model="minilm-l6",
    data="rotten-tomatoes",
    train_rows=16,
    validation_rows=12,
    test_rows=12,
    max_length=32,
    full_steps=2,
    batch_size=4,
)


@pytest.fixture(scope="module")
def prepared():
    return prepare(SPEC)


@pytest.mark.parametrize("name", ["naive", "fair", pytest.param("published", marks=pytest.mark.slow)])
def test_a_loop_trains_what_it_is_given(prepared, name):
    given = sample(prepared, 2)
    said = []
    looped = LOOPS[name](prepared, given, said.append)
    assert looped.name == name and len(looped.results) == len(said) == 2
    assert all(str(c) in line for c, line in zip(given, said))
    for result in looped.results:
        assert 0 < result["validation_loss"] < 5 and 0 < result["test_loss"] < 5
        assert 0 <= result["validation_score"] <= 1 and 0 <= result["test_score"] <= 1 and result["seconds"] > 0
    parts = looped.training_seconds, looped.evaluation_seconds, looped.setup_seconds
    assert all(p > 0 for p in parts) and math.isclose(sum(parts), looped.seconds)
    assert sum(r["seconds"] for r in looped.results) <= looped.seconds


@pytest.mark.slow
def test_a_process_of_its_own_finds_the_same(prepared):
    given = sample(prepared, 1)
    here, apart = (LOOPS[name](prepared, given, str).results[0] for name in ("naive", "published"))
    assert apart["validation_loss"] == pytest.approx(here["validation_loss"], abs=1e-3)
    assert apart["test_score"] == here["test_score"]


@pytest.mark.slow
def test_more_steps_learn_more(prepared):
    spec = SPEC.model_copy(update={"full_steps": 16, "batch_size": 4})
    (lora,) = sample(prepared, 1)
    train_rows_as_validation = replace(prepared, spec=spec, task=replace(prepared.task, validation=prepared.task.train))
    for name in ("naive", "fair"):
        assert LOOPS[name](train_rows_as_validation, [lora], str).results[0]["validation_loss"] < 0.6


def test_the_sample_is_the_beginning_of_a_study(prepared):
    methods = [b.name for b in prepared.space().affordable()]
    found = sample(prepared, 2 * len(methods), seed=3)
    assert [c.method for c in found[: len(methods)]] == methods and len(set(found)) == len(found)
    assert found == sample(prepared, 2 * len(methods), seed=3) != sample(prepared, 2 * len(methods), seed=4)


def test_the_lever_of_length_buckets_takes_them_away():
    """It had patched a name that nothing read any more."""
    import numpy as np
    from search_against_loops import unbucketed

    from autopeft.tasks.batches import unit_batches
    from autopeft.tasks.tokens import TokenisedSplit

    lengths = np.array([9, 1, 8, 2, 7, 3])
    split = TokenisedSplit((), None, np.zeros(6, dtype=int), lengths)
    with unbucketed(True):
        assert [b.tolist() for b in unit_batches(split, 2)] == [[0, 1], [2, 3], [4, 5]]
    assert [b.tolist() for b in unit_batches(split, 2)] == [[1, 3], [5, 4], [2, 0]]
