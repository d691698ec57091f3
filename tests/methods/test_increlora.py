import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tiny import tiny_backbone, tiny_batch, tiny_model
from torch import nn

from autopeft.configuration import Configuration
from autopeft.methods import count, get_method
from autopeft.methods.increlora import ADAPTER, GROWTHS, Growth, growths_due
from autopeft.methods.mechanisms.attach import count_built
from autopeft.methods.mechanisms.rank_pattern import rank_pattern
from autopeft.methods.tuners.increlora import (
    HELD,
    IncreLoraConfig,
    IncreLoraLayer,
    final_ranks,
    increlora_layers,
    orthogonality,
)
from autopeft.proxy.job import Job
from autopeft.proxy.session import Session
from autopeft.proxy.trainer import Trainer
from autopeft.tasks.task import Split, Task
from autopeft.tasks.tokens import TokenisedSplit, TokenisedTask

STEPS, RANK = 15, 4
CONFIGURATION = Configuration.of("increlora", {**get_method("increlora").defaults, "rank": RANK}, (1, 2), 1e-2)


def tokens(rows: int, seed: int) -> TokenisedSplit:
    generator = np.random.default_rng(seed)
    ids = tuple(generator.integers(4, 90, 8).astype(np.int32) for _ in range(rows))
    return TokenisedSplit(ids, None, generator.integers(0, 3, rows), np.full(rows, 8))


@pytest.fixture(scope="module", params=["bert", "gpt2", "llama"])
def trainer(request):
    task = Task("tiny", ("a", "b", "c"), "accuracy", Split((), ()), Split((), ()), Split((), ()))
    return Trainer(tiny_backbone(request.param), TokenisedTask(tokens(32, 0), tokens(8, 1), tokens(8, 2), 1, task), 8)


@pytest.fixture
def session(trainer):
    job = Job(CONFIGURATION, 0, STEPS, STEPS)
    with trainer.attached(job) as (model, place):
        yield Session(trainer, model, place, [trainer.run_of(model, job, own=True)])


@pytest.mark.parametrize("steps", [1, 2, 3, 14, 100, 999])
def test_growth_ends_before_the_last_third(steps):
    due = [growths_due(step, steps) for step in range(steps)]
    assert due == sorted(due) and due[-1] == GROWTHS and due[2 * steps // 3] == GROWTHS
    assert steps < 100 or (due[steps // 10] == 0 and len(set(due)) == GROWTHS + 1)


def used(model) -> list:
    return [slot for slots in model.peft_config[ADAPTER].assignment.values() for slot in slots]


def test_ends_with_what_was_declared(session, tmp_path):
    """Every component in use, by one module each; a LoRA of those ranks builds, and the adapter loads."""
    model, shapes = session.model, session.trainer.backbone.shapes
    assert set(final_ranks(model.get_base_model(), ADAPTER).values()) == {1}
    list(session.advance())
    ranks = final_ranks(model.get_base_model(), ADAPTER)
    linears = {x.path: x for x in shapes.select("all-linear", (1, 2))}
    assert len(used(model)) == len(set(map(tuple, used(model)))) == sum(ranks.values()) == RANK * len(linears)
    sizes = {path: x.in_features + x.out_features for path, x in linears.items()}
    assert sum(ranks[p] * (sizes[p] + 1) for p in ranks) == count(CONFIGURATION, shapes)
    assert count_built(model, shapes.head_modules) == count(CONFIGURATION, shapes)
    assert min(ranks.values()) >= 1 and max(ranks.values()) > RANK

    own = tiny_model(shapes.name)
    lora = get_peft_model(own, LoraConfig(r=RANK, rank_pattern=rank_pattern(ranks, RANK), target_modules=list(ranks)))
    for path, layer in increlora_layers(model.get_base_model()).items():
        a, b, _ = layer.factors(ADAPTER)
        other = lora.get_base_model().get_submodule(path)
        assert other.lora_A[ADAPTER].weight.shape == a.shape and other.lora_B[ADAPTER].weight.shape == b.T.shape
    assert sum(p.numel() for p in lora.parameters() if p.requires_grad) == sum(ranks[p] * sizes[p] for p in ranks)

    model.save_pretrained(tmp_path)
    assert len(json.loads((tmp_path / "adapter_config.json").read_text())["assignment"]) == len(ranks)
    with torch.no_grad():
        said = model(**tiny_batch()).logits
        loaded = PeftModel.from_pretrained(tiny_model(shapes.name), tmp_path).eval()
        torch.testing.assert_close(loaded(**tiny_batch()).logits, said, rtol=0, atol=1e-6)
        torch.testing.assert_close(loaded.merge_and_unload()(**tiny_batch()).logits, said, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("trainer", ["bert"], indirect=True)
def test_resumed_in_the_middle_of_growth_is_bit_equal(trainer):
    whole = trainer.run([Job(CONFIGURATION, 3, STEPS, STEPS, keep_state=True)])[0]
    job, state = Job(CONFIGURATION, 3, STEPS, STEPS, keep_state=True), None
    for until in (4, 7, STEPS):
        state = trainer.run([replace(job, until=until, state=state)])[0].state
    assert state == whole.state


def test_a_component_joins_without_a_jump_and_with_moments_of_its_own(session):
    growth, run = session.callbacks[0], session.run
    session.run.job = replace(run.job, until=5, evaluation_steps=(5,))
    list(session.advance())
    before = session.evaluate("validation", None)
    held = {id(p) for x in growth.layers.values() for p in x.slots(ADAPTER)}
    growth._grow(growth.classes[max(growth.classes)], 3)
    assert session.evaluate("validation", None) == before
    joined = [p for x in growth.layers.values() for p in x.slots(ADAPTER) if id(p) not in held]
    assert len(joined) == 3 and not any(p in run.optimiser.state for p in joined)
    rows = np.arange(8)
    session.losses(rows).sum().backward()
    run.learn(torch.tensor(0.0), session.callbacks)
    assert {int(run.optimiser.state[p]["step"]) for p in joined} == {1} and run.step == 6


def test_the_most_sensitive_grow_first_and_borrow_from_the_least(session):
    growth: Growth = session.callbacks[0]
    paths = growth.classes[max(growth.classes)]
    growth.average = torch.tensor([float(paths.index(p)) if p in paths else 0.0 for p in growth.layers])
    growth.spread = torch.ones(len(growth.layers))
    growth._grow(paths, 1)
    assert growth.assignment[paths[-1]] == [(paths[-1], 0), (paths[-1], 1)]
    for _ in range(RANK - 1):
        growth._grow(paths, 1)
    assert growth.assignment[paths[-1]][-1] == (paths[0], 1)


def test_sensitivity_is_averaged_as_in_the_paper(session):
    growth: Growth = session.callbacks[0]
    for step, size in enumerate((1.0, 3.0)):
        for layer in growth.layers.values():
            (slot,) = layer.slots(ADAPTER)
            slot.grad = torch.full_like(slot, size)
        growth.before_update(step)
    first = next(iter(growth.layers.values())).slots(ADAPTER)[0].detach().abs().sum().item()
    average = 0.15 * first
    spread = 0.15 * (first - average)
    average = 0.85 * average + 0.15 * 3 * first
    spread = 0.85 * spread + 0.15 * (3 * first - average)
    assert growth.average[0].item() == pytest.approx(average, rel=1e-5)
    assert growth.spread[0].item() == pytest.approx(spread, rel=1e-5)


def test_update_is_the_sum_of_its_components():
    layer = IncreLoraLayer(nn.Linear(5, 3), ADAPTER, IncreLoraConfig(rank=2, alpha=6.0))
    with torch.no_grad():
        for slot in layer.slots(ADAPTER):
            slot.copy_(torch.randn(9))
    by_hand = 3.0 * sum(s[8] * torch.outer(s[5:8], s[:5]) for s in layer.slots(ADAPTER))
    torch.testing.assert_close(layer.get_delta(ADAPTER), by_hand)
    x = torch.randn(2, 4, 5)
    torch.testing.assert_close(layer(x), layer.base_layer(x) + x @ by_hand.T)


def test_orthogonality_is_the_mean_of_unsquared_norms():
    layer = IncreLoraLayer(nn.Linear(2, 2), ADAPTER, IncreLoraConfig(rank=1))
    with torch.no_grad():
        layer.slots(ADAPTER)[0].copy_(torch.tensor([3.0, 0.0, 0.0, 2.0, 1.0]))  # | 9 - 1 | and | 4 - 1 |
    assert orthogonality(nn.Sequential(layer)).item() == pytest.approx(5.5)


ADVANCE = Configuration.of("increlora", {**get_method("increlora").defaults, "rank": 2, "advance": True}, (1, 2), 1e-2)


@pytest.mark.parametrize("trainer", ["bert"], indirect=True)
def test_a_component_in_reserve_learns_before_it_counts(trainer, tmp_path):
    """a and b move while e is held; it is the next that its module takes, and none is left in reserve at the end."""
    shapes = trainer.backbone.shapes
    linears = shapes.select("all-linear", (1, 2))
    assert count(ADVANCE, shapes) == sum(3 * (x.in_features + x.out_features + 1) for x in linears)
    job = Job(ADVANCE, 0, STEPS, STEPS, tuple(range(1, STEPS)))
    with trainer.attached(job) as (model, place):
        session = Session(trainer, model, place, [trainer.run_of(model, job, own=True)])
        growth, stepping = session.callbacks[0], session.advance()
        first = {path: layer.reserves(ADAPTER)[0] for path, layer in growth.layers.items()}
        begun = {path: slot.detach().clone() for path, slot in first.items()}
        next(stepping)
        for path, slot in first.items():
            assert slot[-1] == HELD and not torch.equal(slot[:-1], begun[path][:-1])
        while all(len(slots) == 1 for slots in growth.assignment.values()):
            next(stepping)
        model.save_pretrained(tmp_path)
        with torch.no_grad():
            loaded = PeftModel.from_pretrained(tiny_model("bert"), tmp_path).eval()
            torch.testing.assert_close(loaded(**tiny_batch()).logits, model(**tiny_batch()).logits, rtol=0, atol=1e-6)
        grown = next(path for path, slots in growth.assignment.items() if len(slots) > 1)
        assert growth.layers[grown].slots(ADAPTER)[1] is first[grown] and first[grown][-1] != HELD
        assert growth.layers[grown].reserves(ADAPTER)[0] is not first[grown]
        list(stepping)
        assert not growth.reserve and not any(layer.reserves(ADAPTER) for layer in growth.layers.values())
        assert sum(final_ranks(model.get_base_model(), ADAPTER).values()) == 2 * len(linears)
        assert len(set(map(tuple, used(model)))) == 2 * len(linears)


@pytest.mark.parametrize("trainer", ["bert"], indirect=True)
def test_with_components_in_reserve_a_run_resumes_bit_equal(trainer):
    job, state = Job(ADVANCE, 3, STEPS, STEPS, keep_state=True), None
    (whole,) = trainer.run([job])
    for until in (1, 5, 8, STEPS):
        state = trainer.run([replace(job, until=until, state=state)])[0].state
    assert state == whole.state
