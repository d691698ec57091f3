from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from tiny import tiny_backbone, tiny_model

from autopeft.configuration import Configuration
from autopeft.methods import count_per_module, get_method, refusal
from autopeft.methods.mechanisms.attach import attached

RANK, PATH = 4, "bert.encoder.layer.1.attention.self.query"


def configuration(method: str, layers=(1,), **settings) -> Configuration:
    return Configuration.of(method, {**get_method(method).defaults, "rank": RANK, **settings}, layers, 1e-3)


@contextmanager
def adapted(method: str, layers=(1,), **settings):
    """The query of block 1, its factors A (r, in) and B (out, r), and the weight as it was."""
    backbone = tiny_backbone("bert")
    with attached(configuration(method, layers, **settings), backbone, 0) as model:
        layer = model.get_base_model().get_submodule(PATH)
        a, b = layer.lora_A["default"].weight.detach(), layer.lora_B["default"].weight.detach()
        yield model, layer, a, b, tiny_model("bert").get_submodule(PATH).weight.detach()


def close(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_pissa_trains_the_largest_components_and_keeps_the_function():
    with adapted("pissa") as (_, layer, a, b, weight):
        u, s, vh = torch.linalg.svd(weight)
        close(b @ a, u[:, :RANK] * s[:RANK] @ vh[:RANK])
        close(layer.base_layer.weight + b @ a, weight)


def test_olora_trains_the_first_columns_of_q():
    with adapted("olora") as (_, layer, a, b, weight):
        close(b.T @ b, torch.eye(RANK))
        q, r = torch.linalg.qr(weight)
        close(b @ a, q[:, :RANK] @ r[:RANK])
        close(layer.base_layer.weight + b @ a, weight)


def test_mica_writes_where_the_weight_does_least():
    with adapted("mica") as (_, layer, a, b, weight):
        assert not a.any() and not layer.lora_B["default"].weight.requires_grad
        close(b.T @ b, torch.eye(RANK))
        close(torch.linalg.svdvals(b.T @ weight), torch.linalg.svdvals(weight)[-RANK:])


def test_orthogonal_factors_annul_each_other():
    with adapted("orthogonal_lora") as (_, _, a, b, _):
        assert a.abs().max() > 0.01 and b.abs().max() > 0.01
        close(b @ a, torch.zeros(32, 32))


def test_kasa_drops_the_smallest_components():
    with adapted("kasa") as (_, layer, _, b, weight):
        u, s, vh = torch.linalg.svd(weight)
        close(layer.base_layer.weight, u[:, :-RANK] * s[:-RANK] @ vh[:-RANK])
        assert not b.any()


@pytest.mark.parametrize("layers", [(1,), (0, 1, 2)])
def test_kasa_averages_its_loss_over_the_modules(layers):
    with adapted("kasa", layers, beta=1e-2, gamma=1e-2) as (model, *_):
        extra = get_method("kasa").extra_loss(model, {"beta": 1e-2, "gamma": 1e-2})
        close(extra, model.base_model._get_kasa_loss() / (2 * len(layers)))


def test_a_matrix_has_no_more_components_than_its_smaller_side():
    shapes = tiny_backbone("llama").shapes
    narrow = {x.path: min(x.in_features, x.out_features) for x in shapes.select("query+value", (1,))}
    assert set(narrow.values()) == {16, 32}
    for method, spare in (("pissa", 0), ("kasa", 1)):
        per_module = count_per_module(configuration(method, rank=64), shapes)
        factors = {p: (m - spare) * (32 + m) + (m - spare) * (method == "kasa") for p, m in narrow.items()}
        assert per_module == factors


def test_transposed_weights_are_refused_where_peft_would_misread_them():
    shapes = replace(tiny_backbone("bert").shapes, model_type="gpt2")
    refused = {m for m in ("pissa", "olora", "mica", "kasa", "loha", "corda") if refusal(m, shapes)}
    assert refused == {"olora", "kasa", "loha"}
