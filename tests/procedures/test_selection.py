"""LISA, IST, HFT and FreezeOut: what trains when, what it leaves behind, and whom they cannot train."""

import math

import numpy as np
import pytest
import torch
from procedure_cases import configuration, opened, trainer

from autopeft.procedures import REGISTRY
from autopeft.procedures.hft import owner
from autopeft.procedures.mechanisms.selection import layer_of


def shapes():
    return trainer().backbone.shapes


def wanted(name: str, method: str, layers=None, **how):
    return configuration(name, shapes(), method, layers, how)


def active_layers(session) -> set:
    """Layers, None for what lies beside them, whose parameters take gradients."""
    return {layer_of(n, session.trainer.backbone.shapes) for n, p in session.run.parameters.items() if p.requires_grad}


def values(session) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in session.run.parameters.items()}


@pytest.mark.parametrize("method", ["full", "lora", "prefix_tuning"])
def test_lisa_trains_gamma_layers_and_the_head_and_forgets_the_others(method):
    with opened(
        wanted("lisa", method, (1, 2) if method == "prefix_tuning" else None, gamma=1, interval=2), 12
    ) as session:
        before, seen = values(session), []
        for _ in session.advance():
            active, now = active_layers(session), values(session)
            assert len(active - {None}) == 1 and None in active
            for name, parameter in session.run.parameters.items():
                trains = layer_of(name, shapes()) in active
                assert trains or torch.equal(now[name], before[name]), name
                assert (parameter in session.run.optimiser.state) == trains
            before = now
            seen.append(active - {None})
    assert all(seen[i] == seen[i - i % 2] for i in range(12)) and len(set(map(frozenset, seen))) > 1


def test_lisa_computes_nothing_below_the_lowest_active_layer():
    with opened(wanted("lisa", "lora", gamma=1, interval=1), 8) as session:
        reached = []
        blocks = session.model.get_base_model().get_submodule(shapes().blocks_path)
        for number, block in enumerate(blocks):
            block.register_full_backward_hook(lambda *_, number=number: reached.append(number))
        for _ in session.advance():
            (lowest,) = active_layers(session) - {None}
            assert set(reached) == set(range(lowest, 3)) or set(reached) == set(range(lowest + 1, 3))
            reached.clear()


def test_hft_trains_half_of_each_kind_of_module_and_other_ones_in_the_next_round():
    with opened(wanted("hft", "full", rounds=2), 4) as session:
        rounds = []
        for step in session.advance():
            if step % 2:
                rounds.append({n for n, p in session.run.parameters.items() if p.requires_grad})
        roles = {x.path: x.role for x in shapes().linears}
        for names in rounds:
            for layer in range(3):
                chosen = {owner(n, roles) for n in names if layer_of(n, shapes()) == layer}
                kinds = [roles.get(m, "norm") for m in chosen]
                assert sum(k in ("query", "key", "value", "attention_output") for k in kinds) == 2
                assert sum(k.startswith("ffn") for k in kinds) == 1 and kinds.count("norm") == 1
        sizes = {n: p.numel() for n, p in session.run.parameters.items() if layer_of(n, shapes()) is not None}
        share = sum(sizes[n] for n in rounds[0] if n in sizes) / sum(sizes.values())
        assert 0.4 < share < 0.6 and rounds[0] != rounds[1]


@pytest.mark.parametrize("saving", [0.1, 0.25, 0.4])
def test_freezeout_saves_what_it_says_from_the_bottom_up(saving):
    steps = 30
    with opened(wanted("freezeout", "dcft", saving=saving), steps) as session:
        trained, rates = [], []
        (part,) = session.callbacks
        for _ in session.advance():
            trained.append(active_layers(session) - {None})
            rates.append({layer: group["lr"] / group["rate"] for layer, group in part.groups.items()})
    assert all(later <= earlier for earlier, later in zip(trained, trained[1:]))
    assert all(t == set(range(min(t), 3)) for t in trained) and 2 in trained[-1]
    assert 1 - np.mean([len(t) for t in trained]) / 3 == pytest.approx(saving, abs=1.5 / steps)
    end, at = 1 - saving, 10  # of the middle layer
    assert rates[at][1] == pytest.approx((1 + math.cos(math.pi * at / (end * steps))) / 2 / end)


def test_freezeout_stops_the_embeddings_with_the_lowest_block():
    with opened(wanted("freezeout", "full", saving=0.4), 10) as session:
        for step in session.advance():
            moving = {n.split(".modules_to_save")[0] for n, p in session.run.parameters.items() if p.requires_grad}
            below = any("embeddings" in n for n in moving)
            assert below == (step <= 2)


def test_ist_learns_which_layers_can_be_suppressed():
    with opened(wanted("ist", "lora", share=0.25, interval=5), 4) as session:
        (part,) = session.callbacks
        part.loss = lambda rows, suppressed: 0.1 if 0 in suppressed else 3.0  # without layer 0's adapter all is well
        for step in range(5, 100, 5):
            part.learn(step)
        assert part.scores.argmax() == 0  # it is the least important
        drawn = [part.drawn(np.random.default_rng(i), 1, -part.scores) for i in range(200)]
        assert sum(0 in d for d in drawn) < 40
        kept = part.state()
        part.scores = torch.zeros(3, dtype=torch.float64)
        part.load(kept)
        assert torch.equal(part.scores, kept["scores"])


def test_ist_is_its_own_formula():
    with opened(wanted("ist", "lora", share=0.5, interval=5), 4) as session:
        (part,) = session.callbacks
        asked = []
        part.loss = lambda rows, suppressed: asked.append(suppressed) or float(len(asked))
        part.learn(5)
        mean = sum(math.exp(-k) for k in (1, 2, 3)) / 3
        for layer in range(3):
            by_hand = sum(10 * (math.exp(-k) - mean) * 0.25 for k, s in enumerate(asked, 1) if layer in s)
            assert part.scores[layer].item() == pytest.approx(by_hand)
        assert all(len(s) == 2 for s in asked)


def test_ist_rests_layers_without_losing_their_moments():
    with opened(wanted("ist", "lora", share=0.25, interval=5), 12) as session:
        before, rested = values(session), 0
        for _ in session.advance():
            now, active = values(session), active_layers(session)
            for name, parameter in session.run.parameters.items():
                if layer_of(name, shapes()) not in active:
                    assert torch.equal(now[name], before[name])
                    rested += parameter in session.run.optimiser.state
            before = now
        assert rested


@pytest.mark.parametrize("name", ["lisa", "hft", "ist", "freezeout"])
def test_what_has_no_layers_of_its_own_is_refused(name):
    assert "head_only" in REGISTRY[name].refuses(("head_only",), shapes())
    assert "no parameters of its own in each layer" in REGISTRY[name].refuses(("lora", "head_only"), shapes())
    assert REGISTRY[name].refuses(("lora", "serial_adapter"), shapes()) is None
