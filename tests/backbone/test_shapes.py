"""What is read off a model, on eleven architectures and on real weights."""

import json
import subprocess
import sys

import pytest
import torch
from tiny import TINY, tiny_config, tiny_model

from autopeft.backbone.blocks import describe
from autopeft.backbone.loading import load_backbone
from autopeft.backbone.shapes import BackboneShapes, canonical_roles, expand_roles
from autopeft.backbone.sizes import shapes_of
from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.methods import count, get_method
from autopeft.methods.mechanisms.attach import attached, count_built, trainable_parameters

SEPARATE = {"query", "key", "value", "attention_output", "ffn_in", "ffn_out"}
FUSED = {"query_key_value", "attention_output", "ffn_in", "ffn_out"}
ROLES = {
    **dict.fromkeys(TINY, SEPARATE),
    "gpt2": FUSED,
    "gpt_neox": FUSED,
    "modernbert": FUSED,
    **dict.fromkeys(("llama", "qwen3", "gemma"), SEPARATE | {"ffn_gate"}),
}
DECODERS = {"gpt2", "llama", "qwen3", "gemma", "gpt_neox", "opt"}


@pytest.fixture(scope="module")
def described():
    return {name: (model := tiny_model(name), describe(model, name)) for name in TINY}


@pytest.mark.parametrize("name", TINY)
def test_linears_are_found_by_role(described, name):
    model, shapes = described[name]
    assert shapes.num_layers == 3 and set(shapes.roles) == ROLES[name] and shapes.is_decoder == (name in DECODERS)
    per_layer = [sorted(x.role for x in shapes.linears if x.layer == i) for i in range(3)]
    assert per_layer[0] == per_layer[1] == per_layer[2] and len(per_layer[0]) == len(ROLES[name])
    for linear in shapes.linears:
        module = model.get_submodule(linear.path)
        shape = (
            (linear.in_features, linear.out_features)
            if type(module).__name__ == "Conv1D"
            else (linear.out_features, linear.in_features)
        )
        assert tuple(module.weight.shape) == shape and (module.bias is not None) == linear.bias


@pytest.mark.parametrize("name", TINY)
def test_every_parameter_is_counted_once(described, name):
    model, shapes = described[name]
    total = sum(p.numel() for p in model.parameters())
    assert shapes.backbone_parameters + shapes.head_parameters == total
    assert (
        sum(sum(p.numel() for p in model.get_submodule(m).parameters()) for m in shapes.head_modules)
        == shapes.head_parameters
        > 0
    )
    blocks = model.get_submodule(shapes.blocks_path)
    assert shapes.block_parameters == tuple(sum(p.numel() for p in b.parameters()) for b in blocks)
    for bias in shapes.biases:
        assert model.get_parameter(f"{bias.path}.bias").numel() == bias.size


@pytest.mark.parametrize("name", TINY)
def test_a_config_alone_gives_the_same(described, name, tmp_path):
    tiny_config(name).save_pretrained(tmp_path)
    real = described[name][1].to_json() | {"name": str(tmp_path)}
    assert json.loads(json.dumps(shapes_of(str(tmp_path), 3).to_json())) == json.loads(json.dumps(real))
    assert BackboneShapes.from_json(real).to_json() == real


def test_a_second_count_loads_no_torch(tmp_path):
    tiny_config("bert").save_pretrained(tmp_path)
    shapes_of(str(tmp_path), 7)
    code = f"from autopeft.backbone.sizes import shapes_of; print(shapes_of({str(tmp_path)!r}, 7).num_layers); import sys; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == [
        "3",
        "False",
    ]


def test_real_minilm(minilm):
    backbone = load_backbone("minilm-l6", 2)
    shapes = backbone.shapes
    assert (shapes.num_layers, shapes.hidden_size, shapes.kv_size) == (6, 384, 384)
    assert {(x.role, x.out_features) for x in shapes.linears} >= {("ffn_in", 1536), ("query", 384)}
    assert (
        shapes.head_modules == ("bert.pooler", "classifier") and shapes.head_parameters == 384 * 384 + 384 + 2 * 384 + 2
    )
    assert shapes.backbone_parameters + 384 * 384 + 384 == 22_713_216
    assert set(backbone.new_parameters) == {"classifier.weight", "classifier.bias"}
    assert not backbone.model.training and not any(p.requires_grad for p in backbone.model.parameters())
    assert shapes_of("minilm-l6").to_json() == shapes.to_json()


@pytest.mark.slow
def test_real_smollm2_as_a_classifier():
    backbone = load_backbone("smollm2-135m", 4)
    shapes = backbone.shapes
    assert (shapes.num_layers, shapes.hidden_size, shapes.kv_size, shapes.is_decoder) == (30, 576, 192, True)
    assert (
        shapes.backbone_parameters == 134_515_008
        and shapes.head_modules == ("score",)
        and shapes.head_parameters == 4 * 576
    )
    tokens = backbone.tokenizer(["a good film", "bad"], padding=True, return_tensors="pt")
    for method in ("lora", "dcft", "serial_adapter", "parallel_adapter", "prefix_tuning", "ia3"):
        configuration = Configuration.of(method, get_method(method).defaults, (28, 29), 1e-3)
        with attached(configuration, backbone, seed=0) as model:
            logits = model(**tokens).logits
            torch.nn.functional.cross_entropy(logits, torch.tensor([0, 3])).backward()
            assert logits.shape == (2, 4) and all(torch.isfinite(p.grad).all() for _, p in trainable_parameters(model))
            assert count_built(model, shapes.head_modules) == count(configuration, shapes)


def test_roles_and_groups():
    assert expand_roles("value+query") == ("query", "value") and canonical_roles("ffn+attention") == "all-linear"
    with pytest.raises(AutopeftError, match="Did you mean 'query'"):
        expand_roles("qeury")
