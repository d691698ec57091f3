"""The deviation of transitions: its formula on made-up states, and what must not change it."""

import numpy as np
import pytest
from importance_cases import random_rows, tiny_backbone
from tiny import LAYERS

from autopeft.base.errors import AutopeftError
from autopeft.importance import score_layers
from autopeft.importance.cut import gains
from autopeft.importance.transitions import transition_deviation


def cosine(a, b):
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def deviation(states, basis):
    """States (L + 1, N, H) and bases (N, H) -> (N, L + 1)."""
    to_basis = np.stack([cosine(h, basis) for h in states], axis=-1)
    return transition_deviation(to_basis, np.stack([cosine(*pair) for pair in zip(states[1:], states)], axis=-1))


def made_up(seed=0, layers=5, rows=7, width=6):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(layers + 1, rows, width)), generator.normal(size=(rows, width))


def test_it_is_the_angle_between_the_two_steps_across_the_state_below():
    states, basis = made_up()
    found = deviation(states, basis)
    assert found.shape == (7, 6) and (found[:, 0] == 1).all()
    for k in range(1, 6):
        below = states[k - 1] / np.linalg.norm(states[k - 1], axis=-1, keepdims=True)
        factual, virtual = (
            step - (step * below).sum(-1, keepdims=True) * below
            for step in (states[k] - states[k - 1], basis - states[k - 1])
        )
        assert found[:, k] == pytest.approx(1 - cosine(factual, virtual))


def test_worked_by_hand():
    """From (1, 0, 0) the basis (0, 1, 0) lies straight along y."""
    steps = {(1, 1, 0): 0, (0, 2, 0): 0, (1, 0, 1): 1, (1, -1, 0): 2, (1, 1, 1): 1 - 0.5**0.5, (3, 0, 0): 1}
    for to, expected in steps.items():
        states = np.array([[[1.0, 0, 0]], [to]])
        assert deviation(states, np.array([[0, 1.0, 0]]))[0, 1] == pytest.approx(expected)


def test_lengths_and_rotations_change_nothing():
    states, basis = made_up()
    found = deviation(states, basis)
    lengths = np.random.default_rng(1).uniform(0.1, 9, size=(6, 7, 1))
    assert deviation(states * lengths, basis * lengths[0]) == pytest.approx(found)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(6, 6)))[0]
    assert deviation(states @ rotation, basis @ rotation) == pytest.approx(found)
    assert deviation(states, -basis)[:, 1:] == pytest.approx(2 - found[:, 1:])


def test_a_block_that_stands_still_or_is_there_already_says_nothing():
    states, basis = made_up()
    states[2] = 3 * states[1]
    states[4] = 2 * basis
    found = deviation(states, basis)
    assert np.isfinite(found).all() and found[:, [2, 5]] == pytest.approx(1) and found[:, 4] == pytest.approx(0)


def test_the_block_that_writes_the_label_has_the_largest_gain():
    generator = np.random.default_rng(0)
    basis = generator.normal(size=(200, 32))
    states = [generator.normal(size=(200, 32))]
    for block in range(1, 7):
        states.append(states[-1] + 0.3 * generator.normal(size=(200, 32)) + (basis if block == 4 else 0))
    mean = deviation(np.stack(states), basis).mean(0)
    for name, gain in gains(mean, np.arange(1, 8)).items():
        assert gain.argmax() + 1 == 4, name


def test_the_trace_offers_it_with_the_head_and_refuses_it_where_a_layer_has_bases_of_its_own():
    backbone, task = tiny_backbone("bert"), random_rows()
    details = score_layers("trace", backbone, task, basis="head", deviation="transitions").details
    assert details["deviation_of"] == "transitions" and len(details["deviation"]) == LAYERS + 1
    assert details["deviation"][0] == pytest.approx(1) and all(0 <= d <= 2 for d in details["deviation"])
    assert details["deviation"] != score_layers("trace", backbone, task, basis="head").details["deviation"]
    for basis in ("class-means", "final-means"):
        with pytest.raises(AutopeftError, match="head or lm-head"):
            score_layers("trace", backbone, task, basis=basis, deviation="transitions")
    with pytest.raises(AutopeftError, match="Did you mean 'transitions'"):
        score_layers("trace", backbone, task, basis="head", deviation="transition")
