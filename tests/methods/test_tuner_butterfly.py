import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D
from tuner_checks import check_merge, check_tuner, fields_and_count

from autopeft.methods.tuners.butterfly import ButterflyConfig, ButterflyLayer, cayley, rotate


def rotations(width: int, size: int, factors: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(width)
    return cayley(torch.randn(factors, width // size, size * (size - 1) // 2, generator=generator).double())


@pytest.mark.parametrize("width, size, factors", [(8, 2, 1), (16, 4, 2), (24, 2, 3), (32, 4, 4)])
def test_the_product_is_a_rotation_that_mixes_what_it_should(width, size, factors):
    turns = rotations(width, size, factors)
    matrix = rotate(torch.eye(width, dtype=torch.double), turns)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(width, dtype=torch.double))
    assert torch.linalg.det(matrix) == pytest.approx(1)
    reached = (matrix.abs() > 1e-9).sum(1)
    assert reached.eq(size * 2 ** (factors - 1)).all()  # dense blocks of b 2^(m-1)
    x = torch.randn(3, width, dtype=torch.double)
    torch.testing.assert_close(rotate(rotate(x, turns), turns, back=True), x)


def test_one_factor_is_a_block_diagonal_cayley_transform():
    skew = torch.tensor([[[0.5], [-1.0]]])
    for block, q in zip(cayley(skew)[0], (0.5, -1.0)):
        matrix = torch.tensor([[0.0, q], [-q, 0.0]])
        torch.testing.assert_close(block, (torch.eye(2) - matrix) @ torch.linalg.inv(torch.eye(2) + matrix))


@pytest.mark.parametrize("base", [nn.Linear(16, 6), nn.Linear(16, 6, bias=False), Conv1D(6, 16)])
def test_merging_and_unmerging(base):
    layer = ButterflyLayer(base, "default", ButterflyConfig(block_size=4, factors=3))
    x, weight = torch.randn(2, 5, 16), base.weight.detach().clone()
    assert torch.equal(layer(x), base(x))
    with torch.no_grad():
        layer.butterfly_skew["default"].normal_(std=0.5)
        layer.butterfly_scale["default"].normal_(1.0, 0.5)
    turned = layer(x)
    assert not torch.allclose(turned, base(x), atol=1e-2)
    layer.merge(safe_merge=True)
    torch.testing.assert_close(layer(x), turned, rtol=1e-4, atol=1e-5)
    layer.unmerge()
    torch.testing.assert_close(base.weight.detach(), weight, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model_type", ["bert", "gpt2"])
def test_contract_and_merge(model_type, tmp_path):
    fields, counted = fields_and_count("boft", model_type, block_size=4, factors=3)
    check_merge(check_tuner(fields, counted, model_type, tmp_path))
