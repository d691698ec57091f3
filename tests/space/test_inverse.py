"""The inverse of sampling: from every configuration back to the parameters that sample it."""

from dataclasses import replace

import numpy as np
import pytest
from sizes import bert_shapes

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.objectives import Limits
from autopeft.procedures import REGISTRY
from autopeft.space import build_space, load_space, parameters_of

SHAPES = bert_shapes(layers=4)
WITHIN = Limits.of_budget(SHAPES, 3000)


class Dice:
    """A Suggester that draws."""

    def __init__(self, seed: int):
        self.generator = np.random.default_rng(seed)

    def suggest_categorical(self, name, choices, allowed, weights=None):
        return allowed[self.generator.integers(len(allowed))]

    def suggest_float(self, name, low, high):
        return float(low * (high / low) ** self.generator.random())


class Fixed:
    """A Suggester that takes the values it was given."""

    def __init__(self, parameters):
        self.parameters = parameters

    def suggest_categorical(self, name, choices, allowed, weights=None):
        assert self.parameters[name] in allowed
        return self.parameters[name]

    def suggest_float(self, name, low, high):
        return self.parameters[name]


@pytest.mark.parametrize("name", ["default", "lora", "freeze", "autopeft"])
def test_every_sampled_configuration_gives_its_parameters_back(name):
    space = build_space(name, load_space(name), SHAPES, WITHIN)
    for seed in range(60):
        made = space.sample(Dice(seed))
        if made.method == "head_only" and name == "autopeft":
            continue  # a combination with every part off: many ways, one configuration
        assert space.sample(Fixed(parameters_of(space, made).parameters)) == made


@pytest.fixture
def trained():
    """A space with every procedure there is."""
    file = load_space("basic").model_copy(update={"procedures": {name: {} for name in REGISTRY}})
    return build_space("mine", file, SHAPES, WITHIN)


def test_procedures_are_followed_back(trained, monkeypatch):
    for number, name in enumerate(REGISTRY):
        monkeypatch.setattr(type(REGISTRY[name]), "learning_rate_factor", 0.3**number)
    seen = set()
    for seed in range(150):
        made = trained.sample(Dice(seed))
        found = parameters_of(trained, made)
        assert trained.sample(Fixed(found.parameters)) == made and found.distributions.keys() == found.parameters.keys()
        seen.add(made.procedure)
        assert Configuration.from_json(made.to_json()) == made
    assert seen == set(REGISTRY)


def test_a_procedure_or_a_method_it_refuses_that_a_space_does_not_hold_is_one_sentence(trained):
    settings = {"rank": 2, "target_modules": "ffn", "rslora": False}
    lora = Configuration.of("lora", settings, (1,), 1e-3, "lisa", {"gamma": 3, "interval": 5})
    with pytest.raises(AutopeftError, match="not in this space: lisa.gamma"):
        parameters_of(trained, lora)
    with pytest.raises(AutopeftError, match="is not in space 'lora'"):
        parameters_of(build_space("lora", load_space("lora"), bert_shapes(layers=4)), lora)
    refused = Configuration.of("prefix_tuning", {"prefix_length": 2}, (1,), 1e-2, "pace", REGISTRY["pace"].defaults)
    with pytest.raises(AutopeftError, match="not in this space: procedure"):
        parameters_of(trained, refused)


def test_what_the_space_does_not_hold_is_one_sentence():
    space = build_space("lora", load_space("lora"), SHAPES, WITHIN)
    with pytest.raises(AutopeftError, match="is not in space 'lora'"):
        parameters_of(space, Configuration.of("bitfit", {}, (1,), 1e-3))
    with pytest.raises(AutopeftError, match="not in this space: lora.rank"):
        parameters_of(
            space, Configuration.of("lora", {"rank": 3, "target_modules": "ffn", "rslora": False}, (1,), 1e-3)
        )


def of_dcft(name: str):
    """A space, and a configuration of DCFT in it, as it would have been stored before there was a scale."""
    space = build_space(name, load_space(name), SHAPES, WITHIN)
    now = next(m for m in map(space.sample, map(Dice, range(200))) if m.method == "dcft")
    return space, now, replace(now, settings=tuple(pair for pair in now.settings if pair[0] != "scale"))


def test_a_configuration_from_before_a_setting_means_what_it_meant():
    space, now, before = of_dcft("dcft")
    expected = {**parameters_of(space, now).parameters, "dcft.scale": 2.0}
    assert parameters_of(space, before).parameters == parameters_of(space, before, stored=True).parameters == expected


def test_a_space_without_that_value_refuses_it_as_a_beginning_and_takes_it_as_a_row():
    space, now, before = of_dcft("default")
    with pytest.raises(AutopeftError, match=r"scale=2.0.* is not in this space: dcft.scale is not one of \(16.0,\)"):
        parameters_of(space, before)
    expected = parameters_of(space, now).parameters
    expected.pop("dcft.scale")
    assert parameters_of(space, before, stored=True).parameters == expected
