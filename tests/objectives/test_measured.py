"""Step time and latency, measured by a real trainer on a tiny backbone."""

import math

import pytest
from tiny import tiny_backbone, tiny_task

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.proxy.job import Job
from autopeft.proxy.measuring import measure
from autopeft.proxy.trainer import Trainer

LORA = Configuration.of("lora", {"rank": 8, "target_modules": "all-linear", "rslora": False}, (0, 1, 2), 1e-3)
TOP = Configuration.of("lora", {"rank": 1, "target_modules": "query+value", "rslora": False}, (2,), 1e-3)
BOTH = ("step-time", "latency")


def trainer(**settings) -> Trainer:
    return Trainer(tiny_backbone("bert"), tiny_task(), 8, **settings)


@pytest.mark.parametrize("configuration", [LORA, TOP])
def test_a_run_carries_what_was_measured_before_it(configuration):
    (result,) = trainer(uniform_lora=LORA).run([Job(configuration, 0, 3, 3, measure=BOTH)])
    assert result.failure is None and set(result.curve.measured) == set(BOTH)
    assert all(math.isfinite(x) and x > 0 for x in result.curve.measured.values())


def test_uniform_lora_takes_as_long_as_itself():
    ratio = measure(trainer(uniform_lora=LORA), Job(LORA, 0, 3, 3, measure=("step-time",)))["step-time"]
    assert 0.3 < ratio < 3


def test_only_what_is_asked_for_is_measured():
    assert measure(trainer(), Job(LORA, 0, 3, 3)) == {}
    assert measure(trainer(uniform_lora=LORA), Job(LORA, 0, 3, 3, measure=("parameters",))) == {}


def test_a_trainer_that_was_not_told_uniform_lora_says_so():
    with pytest.raises(AutopeftError, match="give the trainer its uniform_lora"):
        measure(trainer(), Job(LORA, 0, 3, 3, measure=("step-time",)))
