import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_batch, tiny_model
from torch import nn
from tuner_checks import attach, check_tuner, fields_and_count, logits

from autopeft.methods.tuners.vqt import VqtLayer, read


def test_counts_the_queries_and_one_map():
    _, counted = fields_and_count("vqt", "bert", query_tokens=4)
    assert counted == 2 * 4 * 32 + 32 * 32


@pytest.mark.parametrize("layers", [(1, 2), (0, 1)])  # with and without the last block, where the features go
@pytest.mark.parametrize("model_type, attention", [("roberta", "eager"), ("modernbert", "sdpa")])
def test_contract(model_type, attention, layers, tmp_path):
    check_tuner(*fields_and_count("vqt", model_type, layers), model_type, tmp_path, attention)


def test_queries_read_as_attention_does():
    queries, key, value = torch.randn(2, 3, 8), torch.randn(4, 2, 5, 8), torch.randn(4, 2, 5, 8)
    text = torch.arange(5) < torch.tensor([[5], [4], [1], [2]])
    wanted = F.scaled_dot_product_attention(queries.expand(4, 2, 3, 8), key, value, text[:, None, None])
    torch.testing.assert_close(read(queries, key, value, text), wanted)


def filled(attention: str = "eager"):
    base = tiny_model("bert", attention)
    model = attach(fields_and_count("vqt", "bert", (0, 1, 2))[0], base)
    for name, parameter in model.named_parameters():
        if "vqt_" in name:
            nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    return model


@torch.no_grad()
def test_the_hidden_states_stay_and_the_features_enter_every_token_of_the_last():
    batch = {k: v for k, v in tiny_batch().items() if k != "labels"}
    states = filled().get_base_model().bert(**batch, output_hidden_states=True)
    plain = tiny_model("bert").bert(**batch, output_hidden_states=True)
    assert all(torch.equal(a, b) for a, b in zip(states.hidden_states[:-1], plain.hidden_states[:-1]))
    added = states.last_hidden_state - plain.last_hidden_state
    torch.testing.assert_close(added, added[:, :1].expand_as(added), atol=1e-5, rtol=1e-4)
    assert added.abs().max() > 0.1


def test_no_gradient_enters_the_backbone():
    model, batch = filled(), tiny_batch()
    layer = next(m for m in model.modules() if isinstance(m, VqtLayer))
    key = torch.randn(1, 4, 3, 8, requires_grad=True)
    layer.observe(key, key * 2, None)
    layer.read.pop("default").sum().backward()
    assert key.grad is None and layer.vqt_queries["default"].grad is not None
    model(**batch)
    assert not any(m.read for m in model.modules() if isinstance(m, VqtLayer))


def test_eager_and_sdpa_agree():
    batch = tiny_batch()
    torch.testing.assert_close(logits(filled("eager"), batch), logits(filled("sdpa"), batch), atol=1e-4, rtol=1e-4)
