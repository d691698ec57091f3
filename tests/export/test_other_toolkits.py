"""What Axolotl, Unsloth, ms-swift and AdapterHub's adapters are told, without any of them; tests/toolkits asks them."""

import json
import re

import pytest
import yaml
from export_cases import case, case_of

from autopeft.configuration import Configuration
from autopeft.export import get_toolkit


def said(toolkit: str, one) -> tuple:
    """(verdict, the keys of the toolkit's own file)."""
    written = get_toolkit(toolkit).write(one)
    name = next((n for n in written.files if n.endswith((".yaml", ".json"))), None)
    return written, yaml.safe_load(written.files[name]) if name else {}


def generating(method: str, settings: dict | None = None, **spec):
    """A case of a study that trains a language model: no task head is lost."""
    one = case(method, settings, **spec)
    return type(one)(**{**vars(one), "spec": {**one.spec, "task": "causal-lm"}})


@pytest.mark.parametrize("toolkit", ["axolotl", "unsloth"])
def test_a_language_model_is_lossless_and_a_classifier_loses_its_head(toolkit):
    whole, _ = said(toolkit, generating("lora"))
    assert whole.verdict == "lossless" if toolkit == "axolotl" else all("8 bits" in loss for loss in whole.losses)
    lossy, _ = said(toolkit, case("lora"))
    assert lossy.verdict == "lossy" and "score" in lossy.losses[0] and lossy.nearest
    assert "encoder" in said(toolkit, case("lora", model_type="bert"))[0].reason


def test_axolotl_names_layers_where_all_of_them_are_adapted_alike():
    _, keys = said("axolotl", generating("dora", {"layers": "0,2"}))
    assert keys["lora_target_modules"] == ["self_attn.q_proj", "self_attn.v_proj"]
    assert keys["peft_layers_to_transform"] == [0, 2] and keys["peft_layers_pattern"] == ["layers"]
    assert keys["peft_use_dora"] and "unfrozen_parameters" not in keys


def test_axolotl_gets_a_rank_for_every_module_that_has_its_own():
    one = generating("lora_ranks")
    written, keys = said("axolotl", one)
    assert written.verdict == "lossless" and keys["lora_rank_pattern"] == one.fields["rank_pattern"]


@pytest.mark.parametrize(
    "method, settings, form",
    [
        ("full_layers", {"layers": "0,2"}, "^model.layers.(0|2)."),
        ("full", {"layers": "1-2"}, "^model.layers.(1|2)."),
        ("ln_tuning", {"layers": "1"}, "^model.layers.(1).(input_layernorm|post_attention_layernorm)."),
    ],
)
def test_axolotl_unfreezes_by_prefixes(method, settings, form):
    """It escapes dots itself, matches from the start of a name, and reads brackets at the end as rows."""
    _, keys = said("axolotl", generating(method, settings))
    assert keys["unfrozen_parameters"] == [form]
    assert not any("\\" in form or form.endswith("]") for form in keys["unfrozen_parameters"])
    assert not {k for k in keys if k.startswith(("adapter", "lora_", "peft_"))}


def test_full_fine_tuning_takes_in_the_language_models_head_where_the_study_trained_it():
    """Its weights were left frozen by Axolotl and ms-swift, and called a loss of the others."""
    whole, classifier = generating("full"), case("full")
    assert said("axolotl", whole)[1]["unfrozen_parameters"] == []
    assert said("axolotl", classifier)[1]["unfrozen_parameters"] == ["^model."]
    assert "trainable_parameters" not in said("swift", whole)[1]
    assert said("llamafactory", whole)[0].verdict == "lossless"
    assert any("own head" in loss for loss in said("llamafactory", classifier)[0].losses)


def test_axolotl_unfreezes_biases_of_a_model_that_has_them():
    _, keys = said("axolotl", generating("bitfit", {"layers": "0,1"}, model_type="gpt2"))
    (form,) = keys["unfrozen_parameters"]
    assert re.match(form.replace(".", r"\."), "transformer.h.1.attn.c_attn.bias")
    assert not re.match(form.replace(".", r"\."), "transformer.h.2.attn.c_attn.bias")


@pytest.mark.parametrize("method", ["head_only", "oft", "ia3", "dcft", "kasa", "prefix_tuning"])
@pytest.mark.parametrize("toolkit", ["axolotl", "unsloth"])
def test_what_has_no_key_is_refused(toolkit, method):
    written, _ = said(toolkit, generating(method))
    assert written.verdict == "unsupported" and not written.files


def test_unsloth_takes_text_and_no_ranks_of_modules():
    one = generating("lora", {"layers": "1"})
    _, keys = said("unsloth", one)
    assert keys["lora"]["target_modules"] == ",".join(one.fields["target_modules"])
    lossy, keys = said("unsloth", generating("lora_ranks", {"attention_rank": 4, "ffn_rank": 4}))
    assert lossy.verdict == "lossy" and keys["lora"]["lora_r"] == 4 and "rank 4" in lossy.nearest


def test_unsloth_trains_all_layers_or_adapters():
    assert said("unsloth", generating("full"))[1]["training"]["training_type"] == "full"
    for method in ("full_layers", "full"):
        assert said("unsloth", generating(method, {"layers": "1-2"}))[0].verdict == "unsupported"


def test_swift_keeps_the_head_and_says_when_its_rate_is_lost():
    one = case("lora", {"layers": "1"}, model_type="bert")
    same = Configuration.of("lora", dict(one.configuration.settings), (1,), one.head_learning_rate)
    written, keys = said("swift", case_of(same, "bert"))
    assert written.verdict == "lossless" and keys["modules_to_save"] == ["bert.pooler", "classifier"]
    assert keys["task_type"] == "seq_cls" and keys["num_labels"] == 3
    other = Configuration.of("lora", dict(one.configuration.settings), (1,), 2 * one.head_learning_rate)
    assert "learning rate" in said("swift", case_of(other, "bert"))[0].losses[0]


@pytest.mark.parametrize(
    "method, settings, trained",
    [
        ("head_only", {}, []),
        ("full_layers", {"layers": "0,2"}, ["bert.encoder.layer.0.", "bert.encoder.layer.2."]),
        ("full", {}, ["bert."]),
    ],
)
def test_swift_unfreezes_by_prefixes(method, settings, trained):
    _, keys = said("swift", case(method, settings, "bert"))
    assert keys["freeze_parameters_ratio"] == 1.0
    assert keys["trainable_parameters"] == [*trained, "bert.pooler.", "classifier."]


def test_adapters_leaves_out_the_layers_that_are_not_adapted():
    written, keys = said("adapters", case("serial_adapter", {"layers": "1", "bottleneck": 4}, "bert"))
    assert written.verdict == "lossless" and keys["leave_out"] == [0, 2] and keys["reduction_factor"] == 8.0


@pytest.mark.parametrize("placement, before", [("pfeiffer", True), ("houlsby", False)])
def test_adapters_places_them_as_its_own_configs_do(placement, before):
    """The switches of its SeqBnConfig and DoubleSeqBnConfig."""
    _, keys = said("adapters", case("serial_adapter", {"placement": placement}, "bert"))
    assert keys["original_ln_before"] is before and keys["mh_adapter"] is not before
    assert keys["original_ln_after"] is keys["residual_before_ln"] is keys["output_adapter"] is True


@pytest.mark.parametrize("size", [1, 3, 5, 7, 13, 31, 32])
def test_adapters_gets_the_bottleneck_that_is_asked_for(size):
    _, keys = said("adapters", case("parallel_adapter", {"bottleneck": size}, "bert"))
    assert int(32 // keys["reduction_factor"]) == size


def test_adapters_scales_as_rank_stabilised_lora_does():
    _, keys = said("adapters", case("lora", {"rank": 8, "rslora": True}, "roberta"))
    assert keys["alpha"] / 8 == pytest.approx(16 / 8**0.5)


@pytest.mark.parametrize(
    "method, settings",
    [
        ("lora", {"target_modules": "attention"}),
        ("lora_ranks", {}),
        ("ia3", {}),
        ("prefix_tuning", {}),
        ("full", {}),
    ],
)
def test_adapters_refuses_what_is_not_the_same_there(method, settings):
    assert said("adapters", case(method, settings, "bert"))[0].verdict == "unsupported"


def test_adapters_reads_before_the_norm_of_a_llama():
    lossy, _ = said("adapters", case("parallel_adapter"))
    assert lossy.verdict == "lossy" and "before the norm" in lossy.losses[0]
    assert json.loads(lossy.files["adapter.json"])["is_parallel"]
