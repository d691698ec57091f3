"""How a toolkit is told to train: by the recipe's numbers, wherever it has words for them."""

import re

import pytest
from export_cases import case

from autopeft.base.recipe import CLIP, WARMUP, WEIGHT_DECAY, warmup_steps
from autopeft.export import REGISTRY
from autopeft.export.mechanisms.toolkit import warmup_code

NUMBERS = {"weight_decay": WEIGHT_DECAY, "max_grad_norm": CLIP}
ASKED = {"weight_decay": set(REGISTRY) - {"peft"}, "max_grad_norm": set(REGISTRY) - {"peft", "unsloth"}}


@pytest.mark.parametrize("setting", NUMBERS)
@pytest.mark.parametrize("toolkit", REGISTRY)
def test_files_hold_the_numbers_of_the_recipe(toolkit, setting):
    text = "\n".join(REGISTRY[toolkit].write(case("lora")).files.values())
    found = re.findall(rf"{setting}[:=] ?([0-9.e-]+)", text)
    assert bool(found) == (toolkit in ASKED[setting])
    assert all(float(number) == NUMBERS[setting] for number in found)


def test_the_readme_of_peft_says_them():
    text = REGISTRY["peft"].write(case("lora")).files["README.md"]
    assert f"{100 * WARMUP:g} % linear warm-up" in text and f"clipped at {CLIP:g}" in text


@pytest.mark.parametrize("steps", [1, 20, 1000])
def test_a_script_warms_up_as_the_search_does(steps):
    assert eval(warmup_code("steps")) == warmup_steps(steps)
