"""UniPELT: three adapters, each behind a gate of its own input."""

import pytest
import torch
from enumeration import every_configuration
from sizes import bert_shapes
from tiny import tiny_batch, tiny_model
from torch import nn
from tuner_checks import attach, check_tuner, fields_and_count, logits, two_steps

from autopeft.backbone.blocks import describe
from autopeft.configuration import Configuration
from autopeft.methods import count, get_method, peft_fields, refusal
from autopeft.methods.tuners.gated import GatedLoraConfig, GatedLoraLayer, GatedPrefixLayer
from autopeft.space import build_space, load_space

GATED = ("gated_adapter", "gated_lora", "gated_prefix")


@pytest.mark.parametrize("model_type, attention", [("bert", "eager"), ("gpt2", "sdpa"), ("llama", "sdpa")])
@pytest.mark.parametrize("method", GATED)
def test_contract(method, model_type, attention, tmp_path):
    fields, counted = fields_and_count(method, model_type)
    check_tuner(fields, counted, model_type, tmp_path, attention, zero_start=method != "gated_prefix")


def test_counts_are_those_of_the_parts_and_their_gates():
    shapes, layers = bert_shapes(), (0, 2)
    for name, plain, gates in (
        ("gated_lora", "lora", 2 * 2 * 33),
        ("gated_adapter", "serial_adapter", 2 * 33),
        ("gated_prefix", "prefix_tuning", 2 * 33),
    ):
        settings = get_method(plain).defaults
        both = [sum(get_method(m).count(settings, layers, shapes).values()) for m in (name, plain)]
        assert both[0] - both[1] == gates


def test_the_gated_update_by_hand():
    base, x = nn.Linear(6, 4), torch.randn(2, 3, 6)
    layer = GatedLoraLayer(base, "default", GatedLoraConfig(rank=2, alpha=16))
    a, b, weight, bias = (getattr(layer, name)["default"].data for name in layer.adapter_layer_names)
    for value in (b, bias):
        value.normal_()
    opening = torch.sigmoid((x * weight).sum(-1, keepdim=True) + bias)
    torch.testing.assert_close(layer(x), base(x) + opening * 8 * (x @ a.T @ b.T))
    bias.fill_(-200.0)  # shut
    assert torch.equal(layer(x), base(x))


@pytest.mark.parametrize("model_type", ["bert", "llama"])
def test_a_prefix_behind_a_gate_is_the_prefix_times_its_mean_over_the_text(model_type):
    gated = attach(fields_and_count("gated_prefix", model_type)[0], tiny_model(model_type))
    batch, alone = tiny_batch(labels=False), {k: v[3:, :8] for k, v in tiny_batch(labels=False).items()}
    two_steps(gated, tiny_batch())
    torch.testing.assert_close(logits(gated, batch)[3:], logits(gated, alone), atol=1e-5, rtol=1e-4)  # no padding in it
    layers = [m for m in gated.modules() if isinstance(m, GatedPrefixLayer)]
    for layer in layers:
        layer.prefixlayers_gate["default"].data.zero_()
        layer.prefixlayers_gate_bias["default"].data.fill_(1.0)
    fields = {k: v for k, v in fields_and_count("gated_prefix", model_type)[0].items() if k != "hidden_size"}
    plain = attach({**fields, "peft_type": "PREFIX_LAYERS"}, tiny_model(model_type))
    plain.load_state_dict(gated.state_dict(), strict=False)
    for name, parameter in plain.named_parameters():
        if "prefixlayers_" in name:
            parameter.data *= torch.tensor(1.0).sigmoid()
    torch.testing.assert_close(logits(plain, batch), logits(gated, batch), atol=1e-5, rtol=1e-4)


def test_together_they_are_unipelt_and_the_space_counts_them():
    shapes = bert_shapes(layers=2)
    assert refusal("+".join(GATED), shapes) is None
    assert "attention function" in refusal("gated_prefix+prefix_tuning", shapes)
    file = load_space("unipelt")
    narrow = {part: {k: v[:3] for k, v in choices.items()} for part, choices in file.combination.items()}
    space = build_space("unipelt", file.model_copy(update={"combination": narrow}), shapes)
    found = every_configuration(space)
    assert len(found) == len(set(found)) == (3**3 - 1) * (2**2 - 1)
    assert space.configurations == len(found) + 1  # and the linear probe
    whole = next(c for c in found if len(c.methods) == 3)
    parts = [sum(get_method(m).count(whole.settings_of(m), whole.layers, shapes).values()) for m in whole.methods]
    assert count(whole, shapes) == sum(parts)


def test_all_three_train_in_one_model(tmp_path):
    shapes = describe(tiny_model("llama"), "llama")
    settings = {f"{m}.{k}": v for m in GATED for k, v in get_method(m).defaults.items()}
    wanted = Configuration.of("+".join(GATED), settings, (1, 2), 1e-3)
    check_tuner(peft_fields(wanted, shapes), count(wanted, shapes), "llama", tmp_path, zero_start=False)
