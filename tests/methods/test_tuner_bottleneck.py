import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_batch, tiny_model
from torch import nn
from tuner_checks import attach, check_tuner, fields_and_count, logits, two_steps

from autopeft.methods.tuners.bottleneck import BottleneckLayer
from autopeft.methods.tuners.parallel import ParallelConfig, ParallelEntrance, ParallelLayer
from autopeft.methods.tuners.serial import SerialConfig


@pytest.mark.parametrize("placement, sites", [("pfeiffer", 1), ("houlsby", 2)])
def test_serial_counts_by_the_formula(placement, sites):
    _, counted = fields_and_count("serial_adapter", "bert", bottleneck=4, placement=placement)
    assert counted == 2 * sites * (2 * 32 * 4 + 4 + 32)


@pytest.mark.parametrize(
    "model_type, placement",
    [("bert", "pfeiffer"), ("bert", "houlsby"), ("qwen3", "pfeiffer"), ("gpt2", "houlsby"), ("gemma", "pfeiffer")],
)
def test_serial_contract(model_type, placement, tmp_path):
    check_tuner(*fields_and_count("serial_adapter", model_type, placement=placement), model_type, tmp_path)


@pytest.mark.parametrize("model_type", ["bert", "modernbert", "gpt2", "llama"])
def test_parallel_contract(model_type, tmp_path):
    check_tuner(*fields_and_count("parallel_adapter", model_type), model_type, tmp_path)


def filled(layer):
    """Give every adapter tensor random values."""
    for name in layer.adapter_layer_names:
        nn.init.normal_(getattr(layer, name)["default"])
    return [getattr(layer, name)["default"] for name in layer.adapter_layer_names]


class Block(nn.Module):
    """Returns a tuple, as blocks of some models do, and has an attribute that the model reads."""

    kind = "full_attention"

    def forward(self, hidden, scale=1.0):
        return hidden * scale, "weights"


def test_serial_formula_on_a_block_that_returns_a_tuple():
    layer = BottleneckLayer(Block(), "default", SerialConfig(bottleneck=2, hidden_size=6, activation="gelu"))
    down, down_bias, up, up_bias = filled(layer)
    x = torch.randn(3, 6)
    hidden, rest = layer(hidden=x, scale=2.0)
    torch.testing.assert_close(hidden, 2 * x + F.gelu(2 * x @ down.T + down_bias) @ up.T + up_bias)
    assert rest == "weights" and layer.kind == "full_attention"


def test_parallel_formula_reads_the_input_of_the_ffn():
    config = ParallelConfig(bottleneck=2, hidden_size=6, scaling=3.0)
    entrance = ParallelEntrance(nn.Linear(6, 9), "default", config)
    last = ParallelLayer(nn.Linear(9, 6), "default", config)
    last.__dict__["entrance"] = entrance
    down, down_bias, up, up_bias = filled(last)
    x = torch.randn(4, 6)
    out = last(torch.tanh(entrance(x)))
    plain = last.base_layer(torch.tanh(entrance.base_layer(x)))
    torch.testing.assert_close(out, plain + 3 * (F.relu(x @ down.T + down_bias) @ up.T + up_bias))
    assert entrance.kept is None


def test_parallel_keeps_no_activation_after_a_disabled_pass():
    model = attach(fields_and_count("parallel_adapter", "bert")[0], tiny_model("bert"))
    with model.disable_adapter():
        model(**tiny_batch())
    assert all(m.kept is None for m in model.modules() if isinstance(m, ParallelEntrance))


@pytest.mark.parametrize("method", ["serial_adapter", "parallel_adapter"])
def test_half_precision_backbone(method):
    base = tiny_model("bert").to(torch.bfloat16)
    model = attach(fields_and_count(method, "bert")[0], base)
    adapters = [p for n, p in model.named_parameters() if "bottleneck_" in n]
    assert {p.dtype for p in adapters} == {torch.float32}
    two_steps(model, tiny_batch())


def test_gradient_checkpointing_gives_the_same_gradients():
    gradients = []
    for checkpointing in (False, True):
        base = tiny_model("llama")
        model = attach(fields_and_count("parallel_adapter", "llama")[0], base)
        for name, parameter in model.named_parameters():
            if "bottleneck_up" in name:
                nn.init.ones_(parameter)
        if checkpointing:
            base.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()
        model(**tiny_batch()).loss.backward()
        gradients.append([p.grad for n, p in model.named_parameters() if "bottleneck_" in n])
    assert gradients[0] and all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients))


@pytest.mark.parametrize("method", ["serial_adapter", "parallel_adapter", "bitfit", "dcft"])
def test_a_second_adapter_waits_until_it_is_chosen(method, tmp_path):
    batch, fields = tiny_batch(), fields_and_count(method, "bert")[0]
    trained = attach(fields, tiny_model("bert"))
    two_steps(trained, batch)
    trained.save_pretrained(tmp_path)
    model = attach(fields, tiny_model("bert"))
    start = logits(model, batch)
    model.load_adapter(tmp_path, "second")
    assert torch.equal(logits(model, batch), start)
    model.set_adapter("second")
    assert torch.equal(logits(model, batch), logits(trained, batch))
    model.delete_adapter("second")
    model.set_adapter("default")
    assert torch.equal(logits(model, batch), start)
