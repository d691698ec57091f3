"""What the trace must find and what a cut must spare, on networks made for it."""

import numpy as np
import pytest
import torch
from importance_cases import random_rows, tiny_backbone
from tiny import LAYERS

from autopeft.importance.calibration import calibration_rows, class_weights, halves
from autopeft.importance.class_basis import BASES
from autopeft.importance.cut import gains
from autopeft.importance.variance import spreads


def planted(layer: int, layers: int = 6, rows: int = 400, width: int = 24, classes: int = 3, seed: int = 0):
    """States (L + 1, N, H) of a residual network where block `layer` (from 1) alone writes the label's direction."""
    generator = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    directions = np.linalg.qr(generator.normal(size=(width, classes)))[0].T
    states = [generator.normal(size=(rows, width))]
    for block in range(1, layers + 1):
        written = 8 * directions[labels] if block == layer else 0
        states.append(states[-1] + 0.1 * generator.normal(size=(rows, width)) + written)
    return np.stack(states), labels


@pytest.mark.parametrize("basis", sorted(BASES))
@pytest.mark.parametrize("layer", [1, 3, 6])
def test_the_block_that_writes_the_label_has_the_largest_gain(basis, layer):
    states, labels = planted(layer)
    deviation = class_weights(labels) @ BASES[basis](states, labels, 0)
    for name, gain in gains(deviation, np.arange(1, 8)).items():
        assert gain.argmax() + 1 == layer, name


@pytest.mark.parametrize("basis", ["class-means", "final-means"])
def test_states_that_know_nothing_do_not_look_better_than_chance(basis):
    """Scoring the rows that built the means would put the deviation of pure noise well below 1."""
    noise = np.random.default_rng(0).normal(size=(2, 60, 200))
    labels = np.arange(60) % 2
    assert (class_weights(labels) @ BASES[basis](noise, labels, 0) > 0.97).all()


def test_deviation_falls_when_the_last_layer_is_right():
    states, labels = planted(3)
    deviation = class_weights(labels) @ BASES["class-means"](states, labels, 0)
    shuffled = class_weights(labels) @ BASES["class-means"](states, np.random.default_rng(1).permutation(labels), 0)
    best = np.log(1 + 2 * np.exp(-1.5)) / np.log(3)  # cosine 1 to one's own of three opposed means, -1/2 to the others
    assert best < deviation[-1] < best + 0.2 and shuffled[-1] > 0.9


def test_variance_splits_into_within_and_between():
    states, labels = planted(3)
    within, total = spreads(states, labels)
    between = [
        sum((labels == c).mean() * ((s[labels == c].mean(0) - s.mean(0)) ** 2).sum() for c in range(3)) for s in states
    ]
    assert total.mean(0) - within.mean(0) == pytest.approx(np.array(between))


def test_calibration_is_stratified_and_halves_share_every_class():
    labels = np.array([0] * 900 + [1] * 90 + [2] * 10)
    rows = calibration_rows(labels, 100, 0)
    assert np.bincount(labels[rows]).tolist() == [90, 9, 2]
    first = halves(labels[rows], 0)
    assert np.bincount(labels[rows][first]).tolist() == [45, 5, 1]


@pytest.mark.parametrize("cut", [1, 2])
def test_a_frozen_prefix_gets_no_gradient_and_keeps_its_bits(cut):
    """Train the blocks above the cut: below it no gradient, no autograd node and no changed bit."""
    backbone, task = tiny_backbone("bert"), random_rows(8)
    model, blocks = backbone.model, backbone.model.get_submodule(backbone.shapes.blocks_path)
    frozen = [*model.bert.embeddings.parameters(), *(p for b in blocks[:cut] for p in b.parameters())]
    kept = [p.detach().clone() for p in frozen]
    for p in frozen:
        p.requires_grad_(False)
    needs_grad = {}
    for i, block in enumerate(blocks):
        block.register_forward_hook(lambda m, a, out, i=i: needs_grad.update({i: out.requires_grad}))
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-2)
    for row, label in zip(task.train.input_ids, task.train.labels):
        model(input_ids=torch.tensor(row).long()[None], labels=torch.tensor([label])).loss.backward()
        optimiser.step()
    assert needs_grad == {i: i >= cut for i in range(LAYERS)}
    assert all(p.grad is None for p in frozen) and all(torch.equal(p, k) for p, k in zip(frozen, kept))
