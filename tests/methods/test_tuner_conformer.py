import pytest
import torch
import torch.nn.functional as F
from tiny import PAD, tiny_batch, tiny_model
from torch import nn
from tuner_checks import attach, check_tuner, fields_and_count, logits

from autopeft.methods.mechanisms.block import text_tokens
from autopeft.methods.tuners.conformer import ConformerConfig, ConformerLayer


def test_counts_by_the_formula():
    _, counted = fields_and_count("conformer_adapter", "bert", bottleneck=4, kernel_size=7)
    assert counted == 2 * (3 * 4 * 32 + 5 * 4 + 4 * 7 + 3 * 32)


@pytest.mark.parametrize("model_type", ["modernbert", "llama"])
def test_contract(model_type, tmp_path):
    check_tuner(*fields_and_count("conformer_adapter", model_type), model_type, tmp_path, "sdpa")


def filled(causal: bool = False, kernel_size: int = 3) -> ConformerLayer:
    torch.manual_seed(0)
    config = ConformerConfig(bottleneck=4, hidden_size=6, kernel_size=kernel_size, causal=causal)
    layer = ConformerLayer(nn.Identity(), "default", config)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def test_only_the_last_projection_starts_at_zero():
    layer = ConformerLayer(nn.Identity(), "default", ConformerConfig(bottleneck=4, hidden_size=6))
    matrices = {name: p for name, p in layer.named_parameters() if p.ndim > 1}
    assert [name for name, p in matrices.items() if not p.any()] == ["conformer_up.default"]


def test_formula():
    layer, x = filled(), torch.randn(2, 5, 6)
    norm, norm_bias, into, into_bias, kernel, kernel_bias, gain, shift, up, up_bias = (
        p.detach() for p in layer.parameters()
    )
    h = F.layer_norm(x, (6,), norm, norm_bias) @ into.T + into_bias
    h = (h[..., :4] * torch.sigmoid(h[..., 4:])).transpose(1, 2)
    h = F.conv1d(h, kernel.unsqueeze(1), kernel_bias, padding=1, groups=4).transpose(1, 2)
    h = F.silu(F.layer_norm(h, (4,), gain, shift))
    torch.testing.assert_close(layer(x), x + h @ up.T + up_bias)


def test_a_causal_kernel_looks_back_only():
    layer, x = filled(causal=True), torch.randn(1, 6, 6)
    changed = torch.cat([x[:, :4], torch.randn(1, 2, 6)], 1)
    assert torch.equal(layer(x)[:, :4], layer(changed)[:, :4])
    earlier = torch.cat([torch.randn(1, 1, 6), x[:, 1:]], 1)
    assert not torch.equal(layer(x)[:, 2], layer(earlier)[:, 2])


@pytest.mark.parametrize("method", ["conformer_adapter", "q_adapter", "vqt"])
@pytest.mark.parametrize("model_type, attention", [("bert", "eager"), ("modernbert", "sdpa"), ("deberta-v2", "eager")])
def test_padding_changes_nothing(method, model_type, attention):
    if (method, model_type) == ("vqt", "deberta-v2"):
        pytest.skip("its attention is its own")
    fields, _ = fields_and_count(method, model_type)
    model = attach(fields, tiny_model(model_type, attention))
    for parameter in model.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.3)
    ids = tiny_batch()["input_ids"][:1]
    padded = F.pad(ids, (0, 5), value=PAD)
    mask = F.pad(torch.ones_like(ids), (0, 5))
    alone = logits(model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    torch.testing.assert_close(
        logits(model, {"input_ids": padded, "attention_mask": mask}), alone, atol=1e-5, rtol=1e-4
    )


def test_every_kind_of_mask_tells_the_text_tokens():
    text = torch.tensor([[True, True, False], [True, True, True]])
    square = (text[:, None, :, None] & text[:, None, None, :]).tril()
    additive = torch.zeros(square.shape).masked_fill(~square, torch.finfo(torch.float).min)
    for mask in (square, square.long(), additive, text[:, None, None]):
        assert torch.equal(text_tokens((None, mask), {}, 3), text)
    assert torch.equal(text_tokens((), {"attention_mask": text.long()}, 3), text)
    assert text_tokens((None,), {"position_ids": torch.zeros(1, 3)}, 3) is None
