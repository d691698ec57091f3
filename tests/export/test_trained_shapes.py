"""The parameters that autopeft trains, by their names in the bare model."""

import pytest
from export_cases import case, tiny_shapes
from tiny import tiny_config

from autopeft.export.mechanisms.trained_shapes import canonical, trained_shapes
from autopeft.methods import REGISTRY, refusal
from autopeft.tasks.kind import get_kind


@pytest.mark.parametrize("method", sorted(REGISTRY))
def test_the_plan_has_as_many_numbers_as_are_counted(method):
    if refusal(method, tiny_shapes("llama", "causal-lm")) or REGISTRY[method].needs_statistics:
        pytest.skip("does not fit, or reads data")
    one = case(method, task="causal-lm")
    found = trained_shapes(one.configuration, tiny_config("llama"), kind=get_kind("causal-lm"))
    sizes = dict.fromkeys(found, 1)
    for name, shape in found.items():
        for size in shape:
            sizes[name] *= size
    assert sum(sizes.values()) == one.trainable
    assert not any("default" in name or "base_model" in name for name in found)


def test_the_head_is_a_classifiers_only():
    one = case("lora", {"layers": "1", "target_modules": "query"})
    factors = {
        "model.layers.1.self_attn.q_proj.lora_A.weight": (8, 32),
        "model.layers.1.self_attn.q_proj.lora_B.weight": (32, 8),
    }
    assert trained_shapes(one.configuration, tiny_config("llama"), kind=get_kind("causal-lm")) == factors
    assert trained_shapes(one.configuration, tiny_config("llama")) == {**factors, "score.weight": (3, 32)}


@pytest.mark.parametrize(
    "name, bare",
    [
        ("base_model.model.bert.layer.0.modules_to_save.default.query.weight", "bert.layer.0.query.weight"),
        ("base_model.model.model.norm.ln_tuning_layers.default.weight", "model.norm.weight"),
        ("base_model.model.fc.bitfit_bias.default", "fc.bias"),
        ("model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"),
    ],
)
def test_names(name, bare):
    assert canonical(name) == bare
