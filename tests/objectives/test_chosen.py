"""The objectives that a study names."""

import pytest

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.objectives import Objectives, Scored
from autopeft.proxy.curve import Curve
from autopeft.study.records import TrialRecord

LORA = Configuration.of("lora", {"rank": 2, "target_modules": "query+value", "rslora": False}, (0, 1, 2), 1e-3)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("accuracy", "'accuracy' names 1: name two"),
        ("", "'' names 0: name two"),
        (" , ,", "names 0: name two"),
        ("parameters,parameters,accuracy", "name one of them twice"),
        ("metric,accuracy", "name one of them twice"),
        ("parameters,train-flops", "says how good a model is: add the task's metric .'accuracy'. or loss"),
        ("parmeters,accuracy", "Unknown objective 'parmeters'. Did you mean 'parameters'"),
        ("parameters,f1", "Unknown objective 'f1'"),
        ("parameters,no.such:thing", "'no.such:thing' cannot be imported"),
        ("parameters,math:pi", "'math:pi' is Python's own and no objective"),
    ],
)
def test_every_refusal_is_one_sentence(text, sentence):
    with pytest.raises(AutopeftError, match=sentence) as raised:
        Objectives.of(text, "accuracy")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["metric", "f1"])
def test_the_metric_goes_by_its_name_and_as_metric(name):
    found = Objectives.of(f"parameters,{name}", "f1")
    assert [o.name for o in found] == ["parameters", "f1"] and found.quality.direction == "maximize"


def test_the_quality_is_the_first_that_is_scored_and_stands_last_among_costs():
    found = Objectives.of("loss, step-time ,metric,parameters", "accuracy")
    assert [o.name for o in found] == ["loss", "step-time", "accuracy", "parameters"] and len(found) == 4
    assert found.quality.name == "loss" and isinstance(found.quality, Scored)
    assert [o.name for o in found.others] == ["step-time", "accuracy", "parameters"]
    assert [o.name for o in found.quality_last] == ["step-time", "accuracy", "parameters", "loss"]
    assert [o.name for o in found.measured] == ["step-time"]


def test_values_are_told_in_the_studys_order_and_compared_as_costs():
    found = Objectives.of("accuracy,parameters,step-time", "accuracy")
    values = {"accuracy": 0.8, "parameters": 1000.0, "step-time": 1.5}
    assert found.told(values) == [0.8, pytest.approx(3), 1.5]
    assert found.costs(values) == [pytest.approx(3), 1.5, -0.8]


def test_a_value_that_is_missing_leaves_none():
    found = Objectives.of("parameters,step-time,accuracy", "accuracy")
    curve = Curve(0, (1, 2), (1.0, 0.9), (0.8, 0.7), (0.5, 0.6), 1.0, 1)
    trial = TrialRecord(0, "complete", LORA, 768, curve, counted={"parameters": 768})
    assert found.values(trial) is None
    timed = TrialRecord(0, "complete", LORA, 768, curve.then(curve), counted={"parameters": 768})
    assert found.values(timed) is None
    measured = Curve(0, (1,), (1.0,), (0.8,), (0.5,), 1.0, 1, measured={"step-time": 0.9})
    trial = TrialRecord(0, "complete", LORA, 768, measured, counted={"parameters": 768})
    assert found.values(trial) == {"parameters": 768, "step-time": 0.9, "accuracy": 0.5}
    assert found.rung_costs(trial, 0) == [pytest.approx(2.88536, abs=1e-4), 0.9, 0.8]
