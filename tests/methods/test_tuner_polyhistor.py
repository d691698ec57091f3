import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tiny import tiny_model
from torch import nn
from tuner_checks import attach, check_tuner, fields_and_count

from autopeft.methods.tuners.polyhistor import PolyhistorLayer, TemplateLayer


@pytest.mark.parametrize("k", [4, 8])
def test_counts_the_templates_once(k):
    _, counted = fields_and_count("polyhistor", "bert", (0, 1, 2), bottleneck=8, kernel_size=k)
    assert counted == 3 * 2 * k * k + 2 * (8 // k) * (32 // k)


@pytest.mark.parametrize("model_type", ["bert", "llama"])
def test_contract_and_one_copy_on_disk(model_type, tmp_path):
    fields, counted = fields_and_count("polyhistor", model_type)
    loaded = check_tuner(fields, counted, model_type, tmp_path).model
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert sum(v.numel() for n, v in saved.items() if "polyhistor_" in n) == counted
    assert sum("template" in n for n in saved) == 2
    layers = [m for m in loaded.modules() if isinstance(m, PolyhistorLayer)]
    assert len(layers) == 2 and len({id(m.owner["default"]) for m in layers}) == 1


def test_each_layer_scales_the_same_template():
    fields, _ = fields_and_count("polyhistor", "bert", (0, 1), kernel_size=5)  # 5 divides neither 32 nor 32
    model = attach(fields, tiny_model("bert"))
    for name, parameter in model.named_parameters():
        if "polyhistor_" in name:
            nn.init.normal_(parameter)
    owner, other = (m for m in model.modules() if isinstance(m, PolyhistorLayer))
    assert type(owner) is TemplateLayer and type(other) is PolyhistorLayer
    down = torch.kron(other.polyhistor_kernel_down["default"], owner.polyhistor_template_down["default"])[:32, :32]
    up = torch.kron(other.polyhistor_kernel_up["default"], owner.polyhistor_template_up["default"])[:32, :32]
    x = torch.randn(2, 3, 32)
    torch.testing.assert_close(other.correction("default", x, x, None), F.relu(x @ down.T) @ up.T)
