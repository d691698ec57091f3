import pytest
import torch
from tiny import tiny_model
from torch import nn
from tuner_checks import check_merge, check_tuner, fields_and_count

from autopeft.backbone.blocks import describe
from autopeft.base.errors import AutopeftError
from autopeft.methods import get_method
from autopeft.methods.tuners.bitfit import BitFitConfig, BitFitLayer


@pytest.mark.parametrize("model_type", ["bert", "gpt2", "opt"])
def test_contract_and_merge(model_type, tmp_path):
    check_merge(check_tuner(*fields_and_count("bitfit", model_type), model_type, tmp_path))


def test_count_of_a_bert_layer():
    assert fields_and_count("bitfit", "bert", layers=(2,))[1] == 4 * 32 + 64 + 32 + 2 * 2 * 32 // 2


def test_a_backbone_without_biases_is_refused():
    assert "no biases" in get_method("bitfit").refuses(describe(tiny_model("llama"), "llama"))
    assert get_method("bitfit").refuses(describe(tiny_model("bert"), "bert")) is None


def test_a_module_without_bias_is_one_sentence():
    with pytest.raises(AutopeftError, match="has none"):
        BitFitLayer(nn.Linear(2, 2, bias=False), "default", BitFitConfig())


def test_merge_and_unmerge_the_bias():
    layer = BitFitLayer(nn.LayerNorm(4), "default", BitFitConfig())
    nn.init.normal_(layer.bitfit_bias["default"])
    x = torch.randn(2, 4)
    before = layer(x)
    layer.merge()
    torch.testing.assert_close(layer(x), before)
    layer.unmerge()
    assert torch.equal(layer.bias, torch.zeros(4))
