"""What the contract tests run over: every registered method, on every tiny backbone, at its default and extreme sizes."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from tiny import PAD, VOCABULARY, tiny_model

from autopeft.backbone.blocks import describe
from autopeft.configuration import Configuration
from autopeft.importance.statistics import Statistics
from autopeft.methods import REGISTRY, attach, refusal
from autopeft.tasks.tokens import TokenisedSplit

METHODS = sorted(REGISTRY)
EVERY = [
    *METHODS,
    "parallel_adapter+prefix_tuning+serial_adapter",
    "lora+prefix_tuning",
]  # combinations are methods too
RATE = 1e-3


@cache
def backbone(model_type: str):
    """A frozen tiny model with its sizes, as a search holds it; one for all tests, since each has to restore it."""
    model = tiny_model(model_type).requires_grad_(False)
    return SimpleNamespace(model=model, shapes=describe(model, model_type), new_parameters=())


@cache
def statistics(model_type: str) -> Statistics:
    """What the methods that look at the data are given: of random tokens, on the model that all tests share."""
    return Statistics(backbone(model_type), tokenised())


def tokenised(rows: int = 8, labels: int = 2):
    """Random texts of ids that every vocabulary has, as a tokenised task's training split."""
    generator = np.random.default_rng(0)
    ids = tuple(generator.integers(4, VOCABULARY, 12).astype(np.int32) for _ in range(rows))
    split = TokenisedSplit(ids, None, np.arange(rows) % labels, np.full(rows, 12))
    return SimpleNamespace(train=split, pad_token_id=PAD)


def attached(configuration: Configuration, found, seed: int):
    """`attach.attached` with the statistics of the backbone that has the same sizes."""
    return attach.attached(configuration, found, seed, statistics(found.shapes.name))


def fitting(method: str, model_type: str):
    """The backbone, or skip the test if the method says why it does not fit."""
    found = backbone(model_type)
    if why := refusal(method, found.shapes):
        pytest.skip(why)
    return found


def settings(method: str, pick) -> dict:
    """A value for every setting: pick(method object, setting) of each part."""
    parts = method.split("+")
    return {
        name if len(parts) == 1 else f"{part}.{name}": pick(REGISTRY[part], name)
        for part in parts
        for name in REGISTRY[part].hyperparameters
    }


def layer_sets(method: str, num_layers: int) -> list[tuple[int, ...]]:
    """Every layer, and a part of the layers if the method can adapt a part."""
    kinds = {REGISTRY[part].layers for part in method.split("+")}
    if kinds == {"none"}:
        return [()]
    everything = tuple(range(num_layers))
    return [everything] if "all" in kinds else [everything, (num_layers - 1,) if "suffix" in kinds else (1,)]


def configurations(method: str, num_layers: int) -> list[Configuration]:
    """Defaults, all smallest and all largest settings, each on all layers and on a part of them."""
    picks = (lambda m, s: m.defaults[s], lambda m, s: m.hyperparameters[s][0], lambda m, s: m.hyperparameters[s][-1])
    return [
        Configuration.of(method, settings(method, pick), layers, RATE)
        for pick in picks
        for layers in layer_sets(method, num_layers)
    ]


def default(method: str, num_layers: int) -> Configuration:
    return configurations(method, num_layers)[0]


def partial(method: str, num_layers: int) -> Configuration:
    """The defaults on the smallest layer set that is tested."""
    return configurations(method, num_layers)[len(layer_sets(method, num_layers)) - 1]
