"""What `--limit` reads."""

from dataclasses import replace

import pytest
from sizes import bert_shapes

from autopeft.base.errors import AutopeftError
from autopeft.costs.step import Step
from autopeft.methods import count
from autopeft.objectives import Limits, Setting
from autopeft.objectives.limits import parse_limit
from autopeft.prepare import limits_of
from autopeft.study.spec import StudySpec
from autopeft.uniform_lora import uniform_lora

SHAPES = replace(bert_shapes(), num_heads=4, vocab_size=100)
SETTING = Setting(SHAPES, Step(8, 16), uniform_lora(SHAPES, 2000))


@pytest.mark.parametrize(
    "text, most",
    [
        ("train-memory=20GB", 20e9),
        ("train-memory = 1.5 GB", 1.5e9),
        ("adapter-bytes=500k", 5e5),
        ("adapter-bytes=500kB", 5e5),
        ("parameters=300", 300),
        ("train-flops=1e9", 1e9),
        ("train-flops=2TFLOPs", 2e12),
    ],
)
def test_every_spelling_of_a_number(text, most):
    assert parse_limit(text, SETTING).most == pytest.approx(most)


@pytest.mark.parametrize("name", ["parameters", "train-memory", "train-flops", "adapter-bytes"])
def test_a_multiple_is_of_uniform_lora(name):
    limit = parse_limit(f"{name}=0.6x", SETTING)
    assert limit.most == pytest.approx(0.6 * limit.value(SETTING.uniform_lora, SETTING)) and limit.most > 0


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("train-memory", "NAME=VALUE"),
        ("train-memory=", "no value above zero"),
        ("train-memory=much", "no value above zero"),
        ("train-memory=0", "no value above zero"),
        ("train-memory=-3GB", "no value above zero"),
        ("train-memory=nan", "no value above zero"),
        ("train-memory=1e999", "no value above zero"),
        ("train-memory=20GB=3", "no value above zero"),
        ("train-memry=20GB", "Did you mean 'train-memory'"),
        ("step-time=0.9x", "step-time is not known before training"),
        ("loss=0.3", "loss is not known before training"),
    ],
)
def test_nonsense_is_one_sentence(text, sentence):
    with pytest.raises(AutopeftError, match=sentence) as raised:
        parse_limit(text, SETTING)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "fields, name",
    [
        ({"limit": ("train-flops=1e9", "train-flops=0.6x")}, "train-flops"),
        ({"limit": ("parameters=300",), "budget": "2%"}, "parameters"),
    ],
)
def test_two_limits_on_one_objective_are_refused(fields, name):
    with pytest.raises(AutopeftError, match=f"two limits on {name}"):
        limits_of(StudySpec(**fields), SHAPES, 2000 if "budget" in fields else None)


def test_what_exceeds_a_limit_is_said_in_words():
    setting = Limits.of_budget(SHAPES, 100).setting
    limits = Limits((parse_limit("parameters=100", setting),), setting)
    assert count(setting.uniform_lora, SHAPES) > 100 and not limits.meet(setting.uniform_lora)
    assert "over the limit of 100 parameters" in limits.exceeded(setting.uniform_lora)
