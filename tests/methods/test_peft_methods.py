"""The configs and counts of the methods that peft has, by their published formulas."""

import json
from dataclasses import replace

import pytest
from sizes import bert_shapes

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.methods import REGISTRY, count, count_per_module, peft_fields, refusal

SHAPES = bert_shapes(layers=3, hidden=32, ffn=64)
ALL = (0, 1, 2)
Q, V = "bert.layer.1.query", "bert.layer.1.value"


def configuration(method: str, layers=ALL, **settings) -> Configuration:
    return Configuration.of(method, {**REGISTRY[method].defaults, **settings}, layers, 1e-3)


@pytest.mark.parametrize(
    "method, settings, expected",
    [
        ("lora", {"rank": 4, "target_modules": "query+value"}, 3 * 2 * 4 * (32 + 32)),
        ("lora", {"rank": 2, "target_modules": "ffn"}, 3 * 2 * 2 * (32 + 64)),
        ("dora", {"rank": 4, "target_modules": "query+value"}, 3 * 2 * (4 * (32 + 32) + 32)),
        ("vera", {"rank": 16, "target_modules": "ffn"}, 3 * (16 + 64 + 16 + 32)),
        ("ia3", {"target_modules": "key+value+ffn_out"}, 3 * (32 + 32 + 64)),
        ("prefix_tuning", {"prefix_length": 8}, 3 * 2 * 8 * 32),
    ],
)
def test_counts_follow_the_papers(method, settings, expected):
    assert count(configuration(method, **settings), SHAPES) == expected


def test_a_grouped_model_has_cheaper_prefixes():
    grouped = replace(SHAPES, kv_size=8)
    assert count(configuration("prefix_tuning", prefix_length=4), grouped) == 3 * 2 * 4 * 8


def test_modules_are_named_in_full_and_the_head_is_saved():
    fields = peft_fields(configuration("lora", layers=(1,), rank=2, rslora=True), SHAPES)
    assert fields == {
        "task_type": "SEQ_CLS",
        "peft_type": "LORA",
        "r": 2,
        "lora_alpha": 16,
        "use_rslora": True,
        "target_modules": [Q, V],
        "modules_to_save": ["classifier"],
    }
    assert peft_fields(configuration("dora", layers=(1,)), SHAPES)["use_dora"] is True


@pytest.mark.parametrize("method", ["lora", "dora", "ia3", "vera", "prefix_tuning"])
def test_fields_are_json(method):
    fields = peft_fields(configuration(method), SHAPES)
    assert json.loads(json.dumps(fields)) == fields


def test_one_target_stays_a_list():
    fields = peft_fields(configuration("ia3", layers=(2,), target_modules="ffn_out"), SHAPES)
    assert fields["target_modules"] == fields["feedforward_modules"] == ["bert.layer.2.ffn_out"]


def test_ia3_scales_the_whole_output_of_a_fused_projection():
    rest = tuple(x for x in SHAPES.linears if x.role not in ("query", "key", "value"))
    fused = tuple(replace(x, role="query_key_value", out_features=96) for x in SHAPES.linears if x.role == "query")
    per_module = count_per_module(configuration("ia3", layers=(0,)), replace(SHAPES, linears=fused + rest))
    assert per_module == {"bert.layer.0.query": 96, "bert.layer.0.ffn_out": 64}


def test_prefixes_go_through_peft_only_where_it_has_them():
    def kind(shapes, layers=ALL):
        return peft_fields(configuration("prefix_tuning", layers=layers), shapes)["peft_type"]

    assert kind(SHAPES) == "PREFIX_TUNING"
    assert kind(SHAPES, layers=(1, 2)) == "PREFIX_LAYERS"
    assert kind(replace(SHAPES, prefix_cache=False)) == "PREFIX_LAYERS"
    combined = Configuration.of(
        "lora+prefix_tuning",
        {"lora.rank": 1, "lora.rslora": False, "prefix_tuning.prefix_length": 2, "lora.target_modules": "query+value"},
        ALL,
        1e-3,
    )
    parts = peft_fields(combined, SHAPES)["parts"]
    assert [part["peft_type"] for part in parts] == ["LORA", "PREFIX_LAYERS"]


def test_prefix_tuning_says_where_it_does_not_fit():
    assert refusal("prefix_tuning", SHAPES) is None
    why = refusal("lora+prefix_tuning", replace(SHAPES, prefix_attention=False, model_type="deberta-v2"))
    assert why.startswith("deberta-v2 ")


def test_vera_stands_alone():
    combined = Configuration.of(
        "dora+vera",
        {
            **{f"dora.{k}": v for k, v in REGISTRY["dora"].defaults.items()},
            **{f"vera.{k}": v for k, v in REGISTRY["vera"].defaults.items()},
        },
        ALL,
        1e-3,
    )
    with pytest.raises(AutopeftError, match="leave vera out"):
        peft_fields(combined, SHAPES)
