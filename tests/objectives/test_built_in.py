"""Every built-in objective against a value worked out by hand, or its own function."""

from dataclasses import replace

import pytest
from sizes import bert_shapes
from tiny import tiny_backbone

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.costs.flops import train_flops
from autopeft.costs.memory import train_memory
from autopeft.costs.step import Step
from autopeft.costs.storage import adapter_bytes
from autopeft.objectives import REGISTRY, Counted, Measured, Objective, Scored, Setting, get_objective, register
from autopeft.objectives.metric import metric_objective
from autopeft.proxy.curve import Curve
from autopeft.study.records import TrialRecord
from autopeft.uniform_lora import uniform_lora

LORA = Configuration.of("lora", {"rank": 2, "target_modules": "query+value", "rslora": False}, (0, 1, 2), 1e-3)
SETTING = Setting(bert_shapes(), Step(8, 16), uniform_lora(bert_shapes(), None))
CURVE = Curve(0, (10, 20), (0.9, 0.8), (0.7, 0.6), (0.5, 0.75), 1.0, 1, test_score=0.7, test_loss=0.65)
TRIAL = TrialRecord(0, "complete", LORA, 768, CURVE)


def test_the_registry_holds_what_the_page_lists():
    assert {"parameters", "adapter-bytes", "train-flops", "train-memory", "step-time", "latency", "loss"} <= set(
        REGISTRY
    )
    assert all(o.name == name and o.direction == "minimize" for name, o in REGISTRY.items())


def test_parameters_of_lora_by_hand():
    assert get_objective("parameters").count(LORA, SETTING) == 3 * 2 * 2 * (32 + 32)  # layers, linears, rank, in + out


def test_bytes_of_the_adapter_by_hand():
    head = 2 * 32 + 2
    assert get_objective("adapter-bytes").count(LORA, SETTING) == 4 * (768 + head)


@pytest.mark.parametrize(
    "name, counted",
    [
        ("adapter-bytes", lambda c, s: adapter_bytes(c, s.shapes)),
        ("train-flops", lambda c, s: train_flops(c, s.shapes, s.step)),
        ("train-memory", lambda c, s: train_memory(c, s.shapes, s.step)),
    ],
)
def test_the_registry_counts_as_the_costs_do_on_a_model(name, counted):
    shapes = tiny_backbone("bert").shapes
    setting = Setting(shapes, Step(8, 16), uniform_lora(shapes, None))
    objective = get_objective(name)
    assert isinstance(objective, Counted) and objective.scale == "log"
    found = [objective.count(replace(LORA, layers=layers), setting) for layers in ((0, 1, 2), (2,))]
    assert found == [counted(replace(LORA, layers=layers), setting) for layers in ((0, 1, 2), (2,))]
    assert found[0] > found[1] > 0


def test_metric_and_loss_are_read_where_the_run_ended():
    metric, loss = metric_objective("accuracy"), get_objective("loss")
    assert (metric.value(TRIAL), loss.value(TRIAL)) == (0.75, 0.6)
    assert (metric.cost(0.75), loss.cost(0.6)) == (-0.75, 0.6)
    assert [o.reported({}, CURVE, "test") for o in (metric, loss)] == [0.7, 0.65]
    assert [o.reported({}, CURVE, "validation") for o in (metric, loss)] == [0.75, 0.6]
    assert [o.rung_cost(TRIAL, 0) for o in (metric, loss)] == [0.7, 0.7], "rungs compare by the validation loss"
    assert metric.better(0.8, 0.7) and loss.better(0.7, 0.8) and not metric.better(0.7, 0.7)
    assert metric_objective("log-likelihood").perplexity and not metric.perplexity


def test_nothing_is_known_of_a_trial_that_has_not_run():
    bare = TrialRecord(0, "failed", LORA, 768)
    assert [get_objective(n).value(bare) for n in ("loss", "step-time", "train-memory")] == [None] * 3


def test_what_was_measured_comes_before_what_was_counted():
    memory = get_objective("train-memory")
    counted = replace(TRIAL, counted={"train-memory": 5.0})
    assert memory.value(counted) == 5
    assert memory.value(replace(counted, curve=replace(CURVE, measured={"train-memory": 7.0}))) == 7


def test_step_time_is_a_ratio_to_uniform_lora_before_and_after():
    class Probe:
        configuration, uniform_lora = "own", "uniform"

        def __init__(self):
            self.times = iter([1.0, 3.0, 2.0])
            self.asked = []

        def seconds_per_step(self, configuration):
            self.asked.append(configuration)
            return next(self.times)

        def latency_ratio(self):
            return 1.25

    probe = Probe()
    assert get_objective("step-time").measure(probe) == 2.0 and probe.asked == ["uniform", "own", "uniform"]
    assert get_objective("latency").measure(probe) == 1.25
    assert all(isinstance(get_objective(n), Measured) for n in ("step-time", "latency"))


@pytest.mark.parametrize(
    "objective, value, text",
    [
        (Counted("a", "a"), 3, "3"),
        (Counted("a", "a"), 1234567.0, "1,234,567"),
        (Counted("a", "a"), 2.5, "2.5000"),
        (Counted("a", "a", scale="log"), 768, "768"),
        (Counted("a", "a", unit="bytes"), 1.5e9, "1.5 GB"),
        (Counted("a", "a", unit="FLOPs"), 3e6, "3 MFLOPs"),
        (Counted("a", "a", unit="x"), 2.0, "2.000x"),
        (Objective("a", "a", scale="log"), 5.0, "5"),
        (Scored("a", "a"), 1.0, "1.0000"),
        (Measured("a", "a", unit="x"), 1.0, "1.000x"),
    ],
)
def test_values_as_a_table_shows_them(objective, value, text):
    assert objective.text(value) == text


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(AutopeftError, match="an objective 'parameters' already: give yours another name"):
        register(Counted("parameters", "mine"))
    assert REGISTRY["parameters"].title != "mine"
