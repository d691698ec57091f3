"""What the contract tests run over: every registered method, on every tiny backbone, at its default and extreme sizes."""

from contextlib import AbstractContextManager
from functools import cache
from types import SimpleNamespace

import pytest
from tiny import MEDIA, SEQ2SEQ, TASKS, TINY, tiny_model, tiny_statistics

from autopeft.backbone.blocks import describe
from autopeft.configuration import Configuration
from autopeft.methods import REGISTRY, refusal
from autopeft.methods.mechanisms import attach

METHODS = sorted(REGISTRY)
EVERY = [
    *METHODS,
    "parallel_adapter+prefix_tuning+serial_adapter",
    "lora+prefix_tuning",
]  # combinations are methods too
OF_MEDIA = ["lora", "dcft", "bitfit", "serial_adapter", "prefix_tuning", "conformer_adapter", "polyhistor", "vqt"]
CASES = [(method, model_type) for model_type in TINY for method in EVERY]
CASES += [(method, model_type) for model_type in (*MEDIA, *SEQ2SEQ) for method in OF_MEDIA]
COUNTED = [*CASES, *((m, model_type) for model_type in ("vit", "t5") for m in METHODS if m not in OF_MEDIA)]
RATE = 1e-3


@cache
def backbone(model_type: str):
    """A frozen tiny model with its sizes, as a search holds it; one for all tests, since each has to restore it."""
    model = tiny_model(model_type).requires_grad_(False)
    return SimpleNamespace(
        model=model, shapes=describe(model, model_type, TASKS.get(model_type, "classification")), new_parameters=()
    )


def attached(configuration: Configuration, found, seed: int) -> AbstractContextManager:
    """`attach.attached`, with statistics of a few made-up rows for the methods that read them."""
    needed = any(REGISTRY[name].needs_statistics for name in configuration.methods)
    return attach.attached(configuration, found, seed, statistics(found.model, found.shapes) if needed else None)


@cache
def statistics(model, shapes):
    """What the methods that look at the data are given, computed once for each model."""
    return tiny_statistics(SimpleNamespace(model=model, shapes=shapes))


def fitting(method: str, model_type: str):
    """The backbone, or skip the test if the method says why it does not fit."""
    found = backbone(model_type)
    if why := refusal(method, found.shapes):
        pytest.skip(why)
    return found


def home(method: str):
    """The first tiny backbone that the method fits."""
    return next(found for found in map(backbone, TINY) if not refusal(method, found.shapes))


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
    if "one" in kinds:
        return [(1,)]
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
