from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from peft.tuners.lokr.layer import factorization
from tiny import tiny_backbone, tiny_batch, tiny_model, tiny_task

from autopeft.configuration import Configuration
from autopeft.methods import count_per_module, get_method, refusal
from autopeft.methods.lokr import split
from autopeft.methods.lora import ALPHA
from autopeft.methods.mechanisms.attach import attached, trainable_parameters
from autopeft.methods.vblora import vector_length
from autopeft.proxy.job import Job
from autopeft.proxy.session import Session
from autopeft.proxy.trainer import Trainer

RANK, PATH = 4, "bert.encoder.layer.1.attention.self.query"


def configuration(method: str, **settings) -> Configuration:
    offered = get_method(method)
    ranks = [r for r in offered.hyperparameters.get("rank", ()) if r >= RANK]
    rank = {"rank": min(ranks)} if ranks else {}
    return Configuration.of(method, {**offered.defaults, **rank, **settings}, (1,), 1e-3)


@contextmanager
def moved(method: str, **settings):
    """The query of block 1 with every trained number drawn anew, its change of the weight (out, in), and the weight."""
    with attached(configuration(method, **settings), tiny_backbone("bert"), 0) as model, torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for _, parameter in trainable_parameters(model):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
        layer = model.get_base_model().get_submodule(PATH)
        x, weight = torch.randn(64, 32, generator=generator), tiny_model("bert").get_submodule(PATH).weight
        change = torch.linalg.lstsq(x, (layer(x[None]) - layer.base_layer(x[None]))[0]).solution.T
        yield layer, change, weight


def close(one, other):
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def rank(matrix) -> int:
    return int(torch.linalg.matrix_rank(matrix, rtol=1e-4))


def test_loha_is_a_product_of_two_low_rank_matrices_entry_by_entry():
    with moved("loha") as (layer, change, _):
        one = layer.hada_w1_a["default"] @ layer.hada_w1_b["default"]
        close(change, ALPHA / RANK * one * (layer.hada_w2_a["default"] @ layer.hada_w2_b["default"]))
        assert rank(change) == RANK**2


def test_lokr_is_a_kronecker_product():
    with moved("lokr", decompose_factor=4, rank=2) as (layer, change, _):
        second = layer.lokr_w2_a["default"] @ layer.lokr_w2_b["default"]
        close(change, ALPHA / 2 * torch.kron(layer.lokr_w1["default"], second))


@pytest.mark.parametrize("size", [7, 12, 36, 384, 768, 1152, 3072])
def test_sides_are_split_as_peft_splits_them(size):
    assert all(split(size, factor) == factorization(size, factor) for factor in (4, 5, 8, 16, 40))


def test_hira_multiplies_the_weight():
    with moved("hira") as (layer, change, weight):
        close(change, weight * (layer.hira_B["default"] @ layer.hira_A["default"]))
        assert rank(change) > RANK


def test_delora_bounds_its_update():
    with moved("delora") as (layer, change, weight):
        layer_bound = layer.delora_lambda["default"].abs().item()
        spectral = torch.linalg.matrix_norm(change / weight.norm(dim=0), 2).item()
        assert 0 < spectral <= layer_bound * 1.001


def test_miss_repeats_one_block_over_the_inputs():
    with moved("miss") as (layer, change, _):
        close(change, layer.miss_block["default"].T.repeat(1, 32 // RANK))


def test_randlora_has_full_rank():
    with moved("randlora") as (layer, change, _):
        close(change, layer.get_delta_weight("default"))
        assert torch.linalg.matrix_rank(layer.get_delta_weight("default")) == 32
        assert layer.randlora_lambda["default"].shape == (8, 4) and layer.randlora_gamma["default"].shape == (4, 32)


def test_vblora_mixes_two_vectors_of_the_bank():
    with moved("vblora", num_vectors=32) as (layer, change, _):
        bank, logits = layer.vblora_vector_bank["default"], layer.vblora_logits_A["default"]
        assert bank.shape == (32, 32) and logits.shape == (RANK, 1, 32)
        top = logits.topk(2)
        weights = torch.zeros_like(logits).scatter(-1, top.indices, top.values.softmax(-1))
        a, b = layer._get_lora_matrices("default")
        close(a, (weights @ bank).flatten(1))
        close(change, b @ a)


def test_vblora_counts_the_bank_once_and_refuses_odd_widths():
    shapes = tiny_backbone("bert").shapes
    total = count_per_module(configuration("vblora", num_vectors=32), shapes)
    assert list(total.values()) == [4 * (1 + 1) * 32 + 32 * 32, 4 * (1 + 1) * 32]
    odd = replace(shapes, linears=tuple(replace(x, in_features=x.in_features + 1) for x in shapes.linears))
    assert vector_length(shapes) == 32 and "no common divisor" in refusal("vblora", odd)


def test_gralora_has_the_rank_of_all_its_blocks():
    with moved("gralora", gralora_k=4) as (_, change, _):
        assert rank(change) == 4 * RANK
        assert all(rank(block) == 1 for rows in change.chunk(4) for block in rows.chunk(4, dim=1))


def test_deft_replaces_a_subspace():
    with moved("deft") as (layer, change, weight):
        p, r = layer.deft_P["default"], layer.deft_R["default"]
        close(change, p @ (r - p.relu().T @ weight))


def test_peanut_reads_the_weight():
    with moved("peanut") as (layer, change, weight):
        close(change.T, (weight.T @ layer.peanut_A["default"].weight.T).relu() @ layer.peanut_B["default"].weight.T)


def test_pvera_samples_in_steps_and_not_where_it_is_scored():
    trainer = Trainer(tiny_backbone("bert"), tiny_task(), 8)
    job = Job(configuration("pvera"), 0, 4, 4)
    with trainer.attached(job) as (model, place), torch.no_grad():
        session = Session(trainer, model, place, [trainer.run_of(model, job, own=True)])
        for name, parameter in trainable_parameters(model):
            if "lambda_b" in name:
                parameter.fill_(1.0)
        (sampling,) = session.callbacks

        def logits(step):
            sampling.before_forward(step)
            return model(**tiny_batch(labels=False)).logits

        first, again, other = logits(0), logits(0), logits(1)
        assert torch.equal(first, again) and not torch.equal(first, other)
        sampling.before_update(1)
        assert torch.equal(*[model(**tiny_batch(labels=False)).logits for _ in range(2)])


def test_tinylora_mixes_the_largest_directions():
    with moved("tinylora", numbers=16) as (layer, change, weight):
        u, s, vh = torch.linalg.svd(weight)
        inner = u[:, :2].T @ change @ vh[:2].T
        close(u[:, :2] @ inner @ vh[:2], change)


def test_unilora_keeps_the_length_of_its_vector():
    with attached(configuration("unilora", vector_length=256), tiny_backbone("bert"), 0) as model:
        layers = [m for m in model.modules() if hasattr(m, "unilora_indices_A")]
        length = sum(factor.square().sum() for layer in layers for factor in layer._get_lora_matrices("default"))
        close(length, layers[0].unilora_theta_d["default"].square().sum())
