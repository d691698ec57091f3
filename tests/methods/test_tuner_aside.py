import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_model
from torch import nn
from tuner_checks import attach, check_tuner, fields_and_count

from autopeft.methods.tuners.aside import ASIDE, INSIDE, AsideConfig, AsideLayer


@pytest.mark.parametrize("inside, sites", [(True, 2), (False, 1)])
def test_counts_a_lane_and_the_bottlenecks_inside(inside, sites):
    _, counted = fields_and_count("aside", "bert", bottleneck=4, inside=inside)
    assert counted == 2 * sites * (2 * 32 * 4 + 4 + 32)


@pytest.mark.parametrize("model_type", ["bert", "gpt2"])
def test_contract(model_type, tmp_path):
    check_tuner(*fields_and_count("aside", model_type), model_type, tmp_path)


def chain(inside: bool, blocks: list[nn.Module]) -> list[AsideLayer]:
    config = AsideConfig(bottleneck=2, hidden_size=6, inside=inside)
    layers = [AsideLayer(block, "default", config) for block in blocks]
    for layer in layers:
        for parameter in layer.parameters():
            nn.init.normal_(parameter)
    for below, above in zip(layers, layers[1:]):
        below.above["default"] = above
    return layers


def test_formula():
    torch.manual_seed(0)
    layers, x = chain(True, [nn.Linear(6, 6), nn.Linear(6, 6)]), torch.randn(2, 3, 6)

    def bottleneck(layer, names, x):
        down, down_bias, up, up_bias = (getattr(layer, name)["default"] for name in names)
        return F.relu(x @ down.T + down_bias) @ up.T + up_bias

    h, a = x, torch.zeros(())
    for layer in layers:
        a = a + bottleneck(layer, ASIDE, h + a)
        inner = layer.base_layer(h)
        h = inner + a + bottleneck(layer, INSIDE, inner)
    torch.testing.assert_close(layers[1](layers[0](x)), h)
    assert not any(layer.handed for layer in layers)


class Wall(nn.Module):
    """A frozen block that no gradient passes."""

    def forward(self, x):
        return x.detach()


def test_the_lane_carries_gradients_past_frozen_blocks():
    layers = chain(False, [Wall(), Wall(), Wall()])
    x = torch.randn(2, 3, 6)
    for layer in layers:
        x = layer(x)
    x.sum().backward()
    assert layers[0].aside_up["default"].grad.any()


def test_layers_that_are_left_out_do_not_break_the_lane():
    fields, _ = fields_and_count("aside", "bert", layers=(0, 2))
    blocks = attach(fields, tiny_model("bert")).get_base_model().bert.encoder.layer
    assert blocks[0].above["default"] is blocks[2] and not blocks[2].above
