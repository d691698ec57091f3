"""The keys of the YAML toolkits, each of their traps: what can be said of our own text without them."""

import re
from dataclasses import replace

import pytest
import yaml
from export_cases import case, case_of

from autopeft.configuration import Configuration
from autopeft.export import get_toolkit


def keys(toolkit: str, one) -> dict:
    """The YAML that a toolkit gets."""
    files = get_toolkit(toolkit).write(one).files
    return yaml.safe_load(next(text for name, text in files.items() if name.endswith(".yaml")))


def test_a_list_of_one_is_a_regular_expression_to_trl():
    one = case("lora", {"layers": "1", "target_modules": "query"})
    (target,) = keys("trl", one)["lora_target_modules"]
    assert [x.path for x in one.shapes.linears if re.fullmatch(target, x.path)] == ["model.layers.1.self_attn.q_proj"]


def test_two_or_more_are_full_names_to_trl():
    one = case("lora", {"layers": "1-2"})
    assert keys("trl", one)["lora_target_modules"] == one.fields["target_modules"]


@pytest.mark.parametrize("toolkit, key", [("trl", "lora_r"), ("llamafactory", "lora_rank")])
def test_numbers_are_numbers(toolkit, key):
    """trl parses a rank of 8.0 and llamafactory one in quotes: both fail in peft, later."""
    found = keys(toolkit, case("dora", {"rank": 4}))
    assert type(found[key]) is int and found[key] == 4 and type(found["learning_rate"]) is float
    assert found["use_dora"] is True and found["lora_dropout"] == 0.0 and found["lora_alpha"] == 16


@pytest.mark.parametrize("method", ["lora_ranks", "pissa", "ia3", "full_layers", "dcft", "ln_tuning"])
def test_trl_gets_a_script_for_what_it_has_no_key_for(method):
    assert set(get_toolkit("trl").write(case(method)).files) == {"adapter_config.json", "data.py", "train.py"}


@pytest.mark.parametrize("toolkit", ["trl", "llamafactory"])
def test_a_decoder_that_classified_learns_to_write_the_class(toolkit):
    written = get_toolkit(toolkit).write(case("lora"))
    assert written.verdict == "lossy" and "classification head (score)" in written.losses[0]
    assert "data.py" in written.files and written.command.startswith("python data.py && ")


@pytest.mark.parametrize("toolkit", ["trl", "llamafactory"])
def test_the_head_alone_is_nothing_to_a_toolkit_without_it(toolkit):
    assert get_toolkit(toolkit).write(case("head_only")).verdict == "unsupported"


def test_llamafactory_takes_full_names_in_one_string():
    one = case("lora", {"layers": "0,2"})
    assert keys("llamafactory", one)["lora_target"] == ",".join(one.fields["target_modules"])


def test_llamafactory_gives_every_module_the_rank_that_keeps_the_total_nearest():
    one = case("lora_ranks", {"attention_rank": 4, "ffn_rank": 4})
    written = get_toolkit("llamafactory").write(one)
    assert written.verdict == "lossy" and "rank 4" in written.nearest and keys("llamafactory", one)["lora_rank"] == 4


def test_llamafactory_decomposes_exactly_for_pissa():
    found = keys("llamafactory", case("pissa", {"rank": 4}))
    assert found["pissa_init"] is True and found["pissa_iter"] == -1 and found["lora_alpha"] == 4


def test_llamafactory_reads_lora_target_for_oft():
    one = case("oft", {"block_size": 8})
    found = keys("llamafactory", one)
    assert found["oft_rank"] == 0 and found["oft_block_size"] == 8
    assert found["lora_target"] == ",".join(one.fields["target_modules"])
    assert any("series" in loss for loss in get_toolkit("llamafactory").write(one).losses)


@pytest.mark.parametrize("layers, end", [((1, 2), 2), ((2,), 1), ((0,), -1), ((0, 1), -2), ((0, 1, 2), 3)])
def test_llamafactory_trains_layers_at_an_end(layers, end):
    found = keys("llamafactory", case_of(Configuration.of("full_layers", {}, layers, 1e-4)))
    assert (found["freeze_trainable_layers"], found["freeze_trainable_modules"]) == (end, "all")


@pytest.mark.parametrize("layers", [(1,), (0, 2)])
def test_llamafactory_refuses_layers_in_between(layers):
    written = get_toolkit("llamafactory").write(case_of(Configuration.of("full_layers", {}, layers, 1e-4)))
    assert written.verdict == "unsupported" and "first or the last" in written.reason


def test_llamafactory_trains_norms_by_name_unless_they_lie_inside_attention():
    found = keys("llamafactory", case("ln_tuning"))
    assert found["freeze_trainable_modules"] == "input_layernorm,post_attention_layernorm"
    assert get_toolkit("llamafactory").write(case("ln_tuning", model_type="qwen3")).verdict == "unsupported"


def test_llamafactory_has_no_keys_for_our_own_methods():
    written = get_toolkit("llamafactory").write(case("dcft"))
    assert written.verdict == "unsupported" and "DCFT" in written.reason


@pytest.mark.parametrize("toolkit", ["trl", "llamafactory"])
@pytest.mark.parametrize("device, low", [("cpu", False), ("NVIDIA H200", True)])
def test_bf16_is_asked_for_where_the_study_had_a_gpu(toolkit, device, low):
    """Without one the Trainer beneath them stops at bf16."""
    one = replace(case("lora"), environment={"precision": {"format": "bf16"}, "device": device})
    assert keys(toolkit, one)["bf16"] is low
