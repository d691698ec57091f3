import re

import pytest
from peft import LoraConfig, get_peft_model
from sizes import bert_shapes
from tiny import tiny_model

from autopeft.backbone.blocks import describe
from autopeft.configuration import Configuration
from autopeft.methods import REGISTRY, count, peft_fields
from autopeft.methods.lora_ranks import PROFILES, spread
from autopeft.methods.mechanisms.rank_pattern import price_classes, rank_pattern, share_out


@pytest.mark.parametrize("weights", [[1, 1, 1], [0, 0, 0], [5, 0, 1], [0.1, 0.7, 0.2]])
@pytest.mark.parametrize("total", [3, 4, 11, 30])
def test_shares_sum_to_the_total_and_follow_the_weights(weights, total):
    ranks = share_out(total, weights)
    assert sum(ranks) == total and min(ranks) >= 1
    order = sorted(range(3), key=lambda k: weights[k])
    assert ranks[order[0]] <= ranks[order[2]] or len(set(weights)) == 1
    assert all(abs(r - 1 - (total - 3) * w / (sum(weights) or 1)) < 1 for r, w in zip(ranks, weights) if any(weights))


@pytest.mark.parametrize("mean", [2, 4, 8, 16])
@pytest.mark.parametrize("layers", [1, 2, 5, 12])
def test_every_profile_has_the_mean_rank(mean, layers):
    found = {profile: spread(mean, layers, profile) for profile in PROFILES}
    assert all(sum(ranks) == mean * layers for ranks in found.values())
    assert set(found["uniform"]) == {mean}
    assert list(found["rising"]) == sorted(found["rising"])
    assert list(found["falling"]) == sorted(found["falling"], reverse=True)
    if layers == 12 and mean >= 4:
        assert found["rising"][0] < found["rising"][-1]
        assert found["middle"][0] < found["middle"][6] > found["middle"][-1]


def test_ranks_by_role_and_the_published_count():
    shapes = bert_shapes(layers=12, hidden=768, ffn=3072)
    settings = {"attention_rank": 8, "ffn_rank": 2, "profile": "rising"}
    expected = 12 * (8 * 4 * (768 + 768) + 2 * 2 * (768 + 3072))
    assert count(Configuration.of("lora_ranks", settings, range(12), 1e-3), shapes) == expected


def test_keys_match_one_module_each_in_any_order():
    paths = [x.path for x in bert_shapes(layers=12).linears]
    keys = rank_pattern(dict.fromkeys(paths, 5), 8)
    for path in [*paths, "bert.layer.1xquery", "bert_layer.1.query"]:
        assert [key for key in keys if re.match(rf"(.*\.)?({key})$", path)] == [re.escape(path)] * (path in paths)
    assert rank_pattern({"a": 8}, 8) == {}


@pytest.mark.parametrize("model_type", ["bert", "llama"])
def test_peft_builds_the_ranks_that_were_counted(model_type):
    model = tiny_model(model_type)
    shapes = describe(model, model_type)
    settings = {**REGISTRY["lora_ranks"].defaults, "ffn_rank": 4}
    fields = peft_fields(Configuration.of("lora_ranks", settings, (0, 1, 2), 1e-3), shapes)
    built = get_peft_model(model, LoraConfig(**{k: v for k, v in fields.items() if k != "peft_type"}))
    ranks = REGISTRY["lora_ranks"].ranks(settings, (0, 1, 2), shapes)
    assert {p: built.get_base_model().get_submodule(p).r["default"] for p in ranks} == ranks
    assert len(set(ranks.values())) > 3


def test_a_rank_costs_the_same_within_a_price_class():
    classes = price_classes(bert_shapes(layers=2, hidden=32, ffn=64).linears)
    assert {price: len(members) for price, members in classes.items()} == {64: 8, 96: 4}
