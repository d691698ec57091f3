"""What adds most to a front by a small made-up benchmark."""

from dataclasses import replace

import numpy as np
import pytest

from autopeft.base.errors import AutopeftError
from autopeft.proxy.curve import Curve
from autopeft.surrogate import gain_model as module
from autopeft.surrogate.acquisition import best_additions, on_the_models_scale
from autopeft.surrogate.endings import ending
from autopeft.surrogate.gain_model import GainModel, Witness

SIZES = (-5.0, -4.0, -3.0, -2.0)


def witness(method, size, gain=0.0, task=module.NEW_TASK):
    return Witness(method, size, 1.0, 1.0, gain, 1.0, task)


@pytest.fixture(scope="module")
def model():
    """Three tasks on which one method is the better the larger, and the other is poor at every size."""
    gains = [
        (witness("good", s, 0.25 * (i + 1), t), witness("poor", s, 0.1, t))
        for t in range(3)
        for i, s in enumerate(SIZES)
    ]
    return GainModel(tuple(w for pair in gains for w in pair)).fitted()


def test_the_better_method_is_tried_and_then_what_the_front_lacks(model):
    offered = [witness(m, s) for s in SIZES for m in ("poor", "good")]
    first = offered[best_additions(model, offered, [], [], -2.0, 0)[0]]
    assert first.method == "good"
    seen = [witness("good", -2.0, 1.0), witness("good", -3.0, 0.75)]
    second = offered[best_additions(model, offered, seen, [], -2.0, 0)[0]]
    assert (second.method, second.size) in {("good", -4.0), ("good", -5.0)}
    third = offered[best_additions(model, offered, seen, [replace(second, gain=0.0)], -2.0, 0)[0]]
    assert third != second, "what runs already is not tried again"
    several = best_additions(model, offered, seen, [], -2.0, 0, 3)
    assert len(set(several)) == 3 and offered[several[0]] == second, "what is chosen with it is not either"


def test_what_costs_too_much_adds_nothing(model):
    offered = [witness("good", -1.0), witness("poor", -4.0)]
    assert best_additions(model, offered, [], [], -3.0, 0) == [1]


def test_scores_get_the_mean_and_the_spread_that_are_expected(model):
    trained = [witness("good", s) for s in SIZES]
    found = [w.gain for w in on_the_models_scale(model, trained, [0.70, 0.72, 0.74, 0.76], [True] * 4)]
    expected = model.expected(trained)
    assert np.mean(found) == pytest.approx(expected.mean()) and np.std(found) == pytest.approx(expected.std())
    assert found == sorted(found)
    level = on_the_models_scale(model, trained, [0.7] * 4, [True, True, True, False])
    assert [w.noise for w in level] == [1, 1, 1, module.STOPPED], "one was stopped on the way"
    assert {round(w.gain, 9) for w in level} == {round(float(expected.mean()), 9)}


def test_a_method_that_the_benchmark_did_not_hold_is_as_uncertain_as_any(model):
    draws = model.draws([witness("new", -3.0), witness("good", -3.0)], 500)
    assert draws[:, 0].std() > draws[:, 1].std()


def test_a_stopped_run_ends_on_the_line_through_the_others_but_no_better_than_the_best():
    def curve(loss, whole=True):
        steps = (10, 40) if whole else (10,)
        return Curve(0, steps, (1.0,) * len(steps), (loss, 0.1)[: len(steps)], (0.5,) * len(steps), 1.0, 1)

    end = ending([(curve(0.5 - i / 10), 0.6 + i / 20) for i in range(5)])
    assert end(curve(0.35, whole=False)) == pytest.approx(0.675)
    assert end(curve(-9.0, whole=False)) == pytest.approx(0.8) and end(curve(9.0, whole=False)) == pytest.approx(0.6)
    assert ending([(curve(0.5), 0.6), (curve(0.4), 0.7)])(curve(0.1, whole=False)) == pytest.approx(0.65)


def test_a_damaged_file_is_said(tmp_path, monkeypatch):
    path = tmp_path / "benchmark.json"
    path.write_text('{"theta": [')
    monkeypatch.setattr(module, "FILE", path)
    module.gain_model.cache_clear()
    with pytest.raises(AutopeftError, match="benchmark.json .* cannot be read"):
        module.gain_model()
    module.gain_model.cache_clear()


def test_where_whole_runs_measured_no_losses_a_stopped_one_comes_to_the_least_of_them():
    """Of a table whose runs were scored at their ends only it was an empty sequence."""
    whole = [(Curve(0, (8,), (1.0,), (None,), (score,), 0.1, 1), score) for score in (0.6, 0.7)]
    assert ending(whole)(Curve(0, (2,), (1.0,), (0.5,), (0.5,), 0.1, 1)) == 0.6
