"""Attaching and detaching leaves the resident backbone as it was, however often and however it ends."""

import copy
import gc

import pytest
import torch
from contract_cases import EVERY, METHODS, attached, backbone, default
from tiny import tiny_batch

from autopeft.methods import refusal
from autopeft.methods.mechanisms.attach import attach, detach, trainable_parameters


def attributes(model: torch.nn.Module) -> dict:
    """Every module's attribute names, and the keys of those that are dictionaries."""
    return {
        path: {
            name: sorted(map(str, value)) if isinstance(value, dict) else type(value)
            for name, value in vars(module).items()
        }
        for path, module in model.named_modules()
    }


def test_thirty_times_leave_nothing_behind():
    found = backbone("bert")
    methods = [m for m in EVERY if not refusal(m, found.shapes)]
    before, config = attributes(found.model), copy.deepcopy(found.model.config.to_dict())
    parameters = []
    for round_ in range(30):
        with attached(default(methods[round_ % len(methods)], 3), found, seed=round_) as model:
            model(**tiny_batch()).loss.backward()
        del model
        if round_ in (0, 29):
            gc.collect()
            parameters.append(sum(isinstance(x, torch.nn.Parameter) for x in gc.get_objects()))
    assert attributes(found.model) == before
    assert {**found.model.config.to_dict(), "problem_type": None} == {**config, "problem_type": None}
    assert parameters[0] == parameters[1]  # no round's adapters are still held


def test_a_trial_that_fails_is_detached():
    found = backbone("gpt2")
    before = attributes(found.model)
    with pytest.raises(FloatingPointError), attached(default("lora", 3), found, seed=0):
        raise FloatingPointError
    assert attributes(found.model) == before


def test_a_failed_attach_is_undone(monkeypatch):
    found = backbone("bert")
    before = attributes(found.model)
    monkeypatch.setattr("autopeft.methods.mechanisms.attach.reset_head", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        attach(default("lora", 3), found, seed=0)
    assert attributes(found.model) == before


def test_a_hook_from_before_can_still_be_removed():
    found, calls = backbone("bert"), []
    handle = found.model.register_forward_hook(lambda *_: calls.append(1))
    detach(attach(default("lora", 3), found, seed=0))
    found.model(**tiny_batch())
    handle.remove()
    found.model(**tiny_batch())
    assert calls == [1]


def test_one_seed_gives_every_method_the_same_head():
    drawn = copy.copy(backbone("bert"))
    drawn.new_parameters = ("classifier.weight", "classifier.bias")
    heads = []
    for method in METHODS:
        if refusal(method, drawn.shapes):
            continue
        with attached(default(method, 3), drawn, seed=5) as model:
            wanted = [p for n, p in trainable_parameters(model) if "classifier.modules_to_save" in n]
            heads.append(torch.cat([p.detach().flatten() for p in wanted]))
    assert all(torch.equal(head, heads[0]) for head in heads)
    assert heads[0][-3:].eq(0).all() and 0.01 < heads[0][:-3].std() < 0.03
