import pytest
import torch
import torch.nn.functional as F
from around_cases import configuration, in_one_piece_and_in_two, trainer
from tiny import tiny_backbone, tiny_batch
from torch import nn

from autopeft.methods.mechanisms.attach import attached, trainable_parameters
from autopeft.procedures import get_procedure
from autopeft.procedures.mechanisms.innermost import module_at
from autopeft.procedures.mechanisms.quantisation import (
    best_rotation,
    hadamard,
    identity,
    matrix,
    rounded,
    rounding,
    straight_through,
)
from autopeft.proxy.job import Job

ROSTE = get_procedure("roste")


def test_rotation_is_symmetric_and_orthogonal_for_every_width():
    for width in (7, 32, 48, 384):
        rotation = hadamard(torch.eye(width, dtype=torch.float64))
        torch.testing.assert_close(rotation, rotation.T)
        torch.testing.assert_close(rotation @ rotation, torch.eye(width, dtype=torch.float64))


def test_rounding_has_16_levels_at_4_bits_between_its_own_ends_clipped_at_95_percent():
    x = torch.randn(3, 4000) + 1.0
    y = rounded(x, 4)
    low, high = 0.95 * x.amin(-1), 0.95 * x.amax(-1)
    step = (high - low) / 15
    assert all(len(row.unique()) == 16 for row in y)
    assert ((y.amin(-1) - low).abs() <= step / 2).all() and ((y.amax(-1) - high).abs() <= step / 2).all()
    inside = (x > y.amin(-1, keepdim=True)) & (x < y.amax(-1, keepdim=True))
    assert ((x - y).abs() <= step[:, None] / 2 * 1.001)[inside].all()


def test_zero_stays_zero_where_all_numbers_are_of_one_sign():
    x = torch.rand(2, 50)
    x[:, 7] = 0.0
    for sign in (1, -1):
        y = rounded(sign * x, 4)
        assert y[:, 7].eq(0).all() and (sign * y >= 0).all()
    assert rounded(torch.zeros(2, 5), 4).eq(0).all()


def test_an_outlying_feature_is_rotated_away_and_a_sparse_weight_is_not():
    x = torch.randn(64, 32)
    x[:, 3] *= 20
    assert best_rotation(torch.randn(16, 32), x, 16, 4) is hadamard
    weight = torch.eye(32) * 3
    assert best_rotation(weight, torch.randn(64, 32), 4, 16) is identity


def test_gradients_go_straight_through_to_inputs_and_weights():
    module, x = nn.Linear(32, 8), torch.randn(5, 32, requires_grad=True)
    y = rounding(module, hadamard, 4, 4)(x)
    assert not torch.allclose(y, module(x))
    upstream = torch.randn_like(y)
    y.backward(upstream)
    weight, inputs = straight_through(matrix(module), hadamard, 4), straight_through(x, hadamard, 4)
    torch.testing.assert_close(x.grad, upstream @ weight)
    torch.testing.assert_close(module.weight.grad, upstream.T @ inputs)
    assert torch.equal(y, F.linear(inputs, weight, module.bias))


@pytest.mark.parametrize("model_type", ["bert", "gpt2", "llama", "deberta-v2"])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_every_linear_is_rounded_for_the_run_and_as_it_was_afterwards(model_type, method):
    backbone, how = tiny_backbone(model_type), configuration("roste", method, (1, 2), weight_bits=4, activation_bits=8)
    before = {n: p.clone() for n, p in backbone.model.state_dict().items()}
    with attached(how, backbone, 0) as model, torch.no_grad():
        start = model(**tiny_batch()).logits
        with ROSTE.around(model, how, backbone.shapes) as rotated:
            assert set(rotated) == {x.path for x in backbone.shapes.linears}
            changed = model(**tiny_batch()).logits
            for path, turned in rotated.items():
                weight = matrix(module_at(model, path))
                rows = hadamard(weight) if turned else weight
                if not weight.requires_grad:
                    assert all(len((row / row.abs().max()).round(decimals=3).unique()) <= 16 for row in rows), path
            with torch.enable_grad():
                model(**tiny_batch()).loss.backward()
            assert all(p.grad is not None and p.grad.isfinite().all() for _, p in trainable_parameters(model))
        assert 0 < (changed - start).norm() < start.norm()
        assert torch.equal(model(**tiny_batch()).logits, start)
    assert all(torch.equal(before[n], p) for n, p in backbone.model.state_dict().items())


def test_sixteen_bits_round_nothing():
    backbone, how = tiny_backbone("bert"), configuration("roste", weight_bits=16, activation_bits=16)
    with attached(how, backbone, 0) as model, torch.no_grad():
        start = model(**tiny_batch()).logits
        with ROSTE.around(model, how, backbone.shapes):
            assert torch.equal(model(**tiny_batch()).logits, start)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_resumed_run_is_the_uninterrupted_one(method):
    whole, resumed = in_one_piece_and_in_two(trainer("bert"), configuration("roste", method, (1, 2)))
    assert whole == resumed


@pytest.mark.parametrize("procedure", ["roste", "token_elimination"])
def test_trains_on_a_bf16_backbone(procedure):
    half = trainer("llama")
    half.backbone.model.bfloat16()
    (done,) = half.run([Job(configuration(procedure, layers=(1, 2)), 0, 2, 2)])
    assert done.curve.validation_loss[-1] < 2
    assert {p.dtype for p in half.backbone.model.parameters()} == {torch.bfloat16}
