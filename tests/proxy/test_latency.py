"""The time of a forward pass with adapters: what is measured, and that the backbone comes back bit for bit."""

import math
from functools import cache

import pytest
import torch
from tiny import TINY, tiny_backbone, tiny_batch, tiny_statistics, tiny_task
from torch.utils.flop_counter import FlopCounterMode

from autopeft.configuration import Configuration
from autopeft.methods import REGISTRY, refusal
from autopeft.procedures import get_procedure
from autopeft.proxy.latency import deployed, latency_ratio

LORA = Configuration.of("lora", {"rank": 8, "target_modules": "all-linear", "rslora": False}, (0, 1, 2), 1e-3)
MERGED = sorted(name for name, method in REGISTRY.items() if method.mergeable)


def default(method: str) -> Configuration:
    layers = {"none": (), "one": (1,)}.get(REGISTRY[method].layers, (0, 1, 2))
    return Configuration.of(method, REGISTRY[method].defaults, layers, 1e-3)


@cache
def backbone_of(model_type: str):
    return tiny_backbone(model_type)


def home(method: str):
    """The first tiny backbone that the method fits."""
    return next(found for found in map(backbone_of, TINY) if not refusal(method, found.shapes))


def flops(model) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(**tiny_batch(labels=False))
    return counter.get_total_flops()


@pytest.mark.parametrize("method", ["lora", "serial_adapter", "pissa", "prefix_tuning", "full", "hra", "bitfit"])
def test_the_backbone_is_the_same_afterwards(method):
    backbone = tiny_backbone("bert")
    before = {name: value.clone() for name, value in backbone.model.state_dict().items()}
    ratio = latency_ratio(backbone, tiny_task(), default(method), seed=0, rows=4)
    assert math.isfinite(ratio) and ratio > 0
    after = backbone.model.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)


def test_a_merged_pass_has_no_products_of_the_adapter():
    backbone = tiny_backbone("bert")
    bare = flops(backbone.model)
    with deployed(LORA, backbone, 0) as model:
        assert flops(model) == bare
    with deployed(default("serial_adapter"), backbone, 0) as model:
        assert flops(model) > bare
    assert flops(backbone.model) == bare


@pytest.mark.parametrize("method", MERGED)
def test_whatever_merges_comes_off_again_bit_for_bit(method):
    backbone = home(method)
    before = {name: value.clone() for name, value in backbone.model.state_dict().items()}
    given = tiny_statistics(backbone) if REGISTRY[method].needs_statistics else None
    with deployed(default(method), backbone, 0, given):
        pass
    after = backbone.model.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)


def test_fewer_tokens_are_part_of_the_pass():
    backbone = tiny_backbone("bert")
    settings = get_procedure("token_elimination").defaults
    fewer = Configuration.of("lora", dict(LORA.settings), (0, 1, 2), 1e-3, "token_elimination", settings)
    assert latency_ratio(backbone, tiny_task(), fewer, seed=0, rows=4) > 0
