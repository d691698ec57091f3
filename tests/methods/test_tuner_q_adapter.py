import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_model
from torch import nn
from tuner_checks import check_tuner, fields_and_count

from autopeft.backbone.blocks import describe
from autopeft.methods import refusal
from autopeft.methods.tuners.q_adapter import QAdapterConfig, QAdapterLayer


def test_counts_a_bottleneck_queries_and_a_gate():
    _, counted = fields_and_count("q_adapter", "bert", bottleneck=4, query_tokens=16)
    assert counted == 2 * ((2 * 32 * 4 + 4 + 32) + 16 * 4 + 32 + 1)


@pytest.mark.parametrize("model_type", ["bert", "deberta-v2"])
def test_contract(model_type, tmp_path):
    check_tuner(*fields_and_count("q_adapter", model_type), model_type, tmp_path)


def test_formula():
    torch.manual_seed(0)
    layer = QAdapterLayer(nn.Identity(), "default", QAdapterConfig(bottleneck=4, hidden_size=6, query_tokens=3))
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    down, down_bias, up, up_bias, queries, gate, gate_bias = (p.detach() for p in layer.parameters())
    x, mask = torch.randn(1, 5, 6), torch.tensor([[True, True, True, False, False]])
    z = x[0, :3] @ down.T + down_bias
    summary = F.softmax(queries @ z.T / 2, -1) @ z
    read = F.softmax(z @ summary.T / 2, -1) @ summary
    expected = x[0, :3] + torch.sigmoid(x[0, :3] @ gate.T + gate_bias) * (read @ up.T + up_bias)
    torch.testing.assert_close(layer(x[:, :3])[0], expected)
    torch.testing.assert_close(layer.correction("default", x, x, mask)[0, :3], expected - x[0, :3])


def test_a_causal_model_is_refused():
    for method in ("q_adapter", "vqt"):
        assert "last token only" in refusal(method, describe(tiny_model("llama"), "llama"))
