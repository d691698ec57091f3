"""The space `all` leaves nothing out that is registered."""

import random

import pytest
from sizes import bert_shapes

from autopeft.methods import REGISTRY as METHODS
from autopeft.procedures import REGISTRY as PROCEDURES
from autopeft.space.search_space import build_space
from autopeft.space.space_file import load_space


def test_names_every_method_and_procedure():
    space = load_space("all")
    assert list(space.methods) == sorted(METHODS)
    assert list(space.procedures) == sorted(PROCEDURES)


def test_every_setting_it_names_is_one_of_the_methods_own_choices():
    space = load_space("all")
    for registry, named in ((METHODS, space.methods), (PROCEDURES, space.procedures)):
        for name, narrowed in named.items():
            for setting, values in narrowed.items():
                assert set(values) <= set(registry[name].hyperparameters[setting]), f"{name}.{setting}"


class Dice:
    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def suggest_categorical(self, name, choices, allowed, weights=None):
        return self.random.choice(allowed)

    def suggest_float(self, name, low, high):
        return (low * high) ** 0.5


@pytest.mark.parametrize("seed", range(3))
def test_is_sampled_on_a_backbone(seed):
    space = build_space("all", load_space("all"), bert_shapes())
    for _ in range(20):
        assert space.sample(Dice(seed)).method in METHODS
