"""How a toolkit is told to train: by the recipe's numbers, wherever it has words for them."""

import re
from dataclasses import replace

import pytest
import torch
import yaml
from export_cases import case

from autopeft.base.recipe import BETAS, CLIP, EPSILON, WARMUP, WEIGHT_DECAY, learning_rate_factor
from autopeft.export import REGISTRY
from autopeft.export.mechanisms.training import RATE

NUMBERS = {
    "weight_decay": WEIGHT_DECAY,
    "max_grad_norm": CLIP,
    "adam_beta1": BETAS[0],
    "adam_beta2": BETAS[1],
    "adam_epsilon": EPSILON,
}
LANGUAGE = ["axolotl", "llamafactory", "swift", "trl", "unsloth"]  # toolkits with a YAML file
LOSSLESS = [toolkit for toolkit in LANGUAGE if toolkit != "unsloth"]


def language_model(model_type: str = "llama", method: str = "lora", steps: int = 60, **environment):
    one = case(method, {"rank": 4} if method == "lora" else {}, model_type, task="causal-lm", full_steps=steps)
    return replace(one, environment={**one.environment, **environment})


def keys(toolkit: str, one) -> dict:
    """The keys of a YAML file, those of its sections too."""
    files = REGISTRY[toolkit].write(one).files
    found = yaml.safe_load(next(text for name, text in files.items() if name.endswith(".yaml")))
    return found | found.get("training", {})


@pytest.mark.parametrize("toolkit", LOSSLESS)
def test_no_default_of_a_toolkit_counts_for_the_optimiser(toolkit):
    """ms-swift's own second beta is .95."""
    found = keys(toolkit, language_model())
    assert {name: found[name] for name in NUMBERS} == NUMBERS
    assert found.get("optim", found.get("optimizer")) == "adamw_torch"


def test_unsloth_says_that_it_has_no_key_for_the_optimiser():
    assert any("8 bits" in loss for loss in REGISTRY["unsloth"].write(language_model()).losses)


def test_the_scripts_say_the_optimiser_too():
    for toolkit, one in (("script", case("lora", model_type="bert")), ("adapters", case("lora", model_type="bert"))):
        text = REGISTRY[toolkit].write(one).files["train.py"]
        assert f"betas={BETAS}" in text and f"eps={EPSILON}" in text and f"weight_decay={WEIGHT_DECAY}" in text
    text = REGISTRY["trl"].write(language_model(method="ia3")).files["train.py"]
    assert {name: float(value) for name, value in re.findall(r"(\w+)=([0-9.e-]+)", text) if name in NUMBERS} == NUMBERS


def test_the_readme_of_peft_says_them():
    text = REGISTRY["peft"].write(case("lora")).files["README.md"]
    assert f"{100 * WARMUP:g} % linear warm-up" in text and f"clipped at {CLIP:g}" in text
    assert f"betas {BETAS[0]:g} and {BETAS[1]:g}, epsilon {EPSILON:g}" in text


@pytest.mark.parametrize("toolkit", LANGUAGE)
@pytest.mark.parametrize("steps", [16, 40, 64, 1000])
def test_the_schedule_learns_as_much_as_the_searchs(toolkit, steps):
    """The sum of the rates, by transformers' own schedule: it began with an idle step and lost 11 % of 16 steps."""
    from transformers import get_linear_schedule_with_warmup

    found = keys(toolkit, language_model(steps=steps))
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    linear = get_linear_schedule_with_warmup(optimiser, found["warmup_steps"], found["max_steps"])
    rates = []
    for _ in range(found["max_steps"]):
        rates.append(linear.get_last_lr()[0])
        optimiser.step()
        linear.step()
    ours = [learning_rate_factor(step, steps) for step in range(steps)]
    theirs = rates[rates[0] == 0 :]
    assert len(theirs) == steps + 1
    fall = found["max_steps"] - found["warmup_steps"]
    assert max(abs(a - b) for a, b in zip(theirs, ours)) <= 1 / fall + 1e-9
    assert sum(theirs) == pytest.approx(sum(ours), rel=1e-9)


def test_the_steps_more_are_explained_in_the_file():
    files = REGISTRY["trl"].write(language_model(steps=60)).files
    assert files["sft.yaml"].startswith("# 62 steps, the first of them idle")
    files = REGISTRY["trl"].write(language_model(steps=16)).files
    assert files["sft.yaml"].startswith("# 17 steps: as much learning rate in all as autopeft's 16.")


@pytest.mark.parametrize("steps", [1, 20, 40, 1000])
def test_a_script_has_the_rates_of_the_search(steps):
    space = {"STEPS": steps}
    exec(RATE, space)
    assert [space["rate"](s) for s in range(steps)] == [learning_rate_factor(s, steps) for s in range(steps)]


@pytest.mark.parametrize("toolkit", LANGUAGE)
@pytest.mark.parametrize("family, names", [("gpt2", {"attn_pdrop", "embd_pdrop", "resid_pdrop"}), ("opt", {"dropout"})])
def test_the_dropout_of_a_language_model_is_off(toolkit, family, names):
    """Every trainer switches it on, and no dropout runs in a search."""
    one = language_model(family)
    written = REGISTRY[toolkit].write(one)
    if (toolkit, family) == ("swift", "gpt2"):
        assert "cannot load gpt2" in written.reason
        return
    assert names <= set(one.no_dropout) and set(one.no_dropout.values()) == {0.0}
    found = keys(toolkit, one)
    own = {"trl": "model_init_kwargs", "axolotl": "overrides_of_model_config"}.get(toolkit)
    if own:
        assert found[own] == one.no_dropout
    else:
        named = {"llamafactory": "model_name_or_path"}.get(toolkit, "model")
        assert found[named] == "model" and repr(one.no_dropout) in written.files["data.py"]
    plain = REGISTRY[toolkit].write(language_model())
    assert "dropout" not in plain.files["data.py"] and not language_model().no_dropout


@pytest.mark.parametrize("toolkit, family", [("adapters", "bert"), ("swift", "bert"), ("trl", "gpt2")])
def test_the_dropout_of_scripts_and_encoders_is_off(toolkit, family):
    one = case(
        "lora" if family == "bert" else "ia3", model_type=family, **({"task": "causal-lm"} if family == "gpt2" else {})
    )
    text = "\n".join(REGISTRY[toolkit].write(one).files.values())
    assert one.no_dropout
    assert all(f"{name}=0.0" in text or f"'{name}': 0.0" in text for name in one.no_dropout)


def test_a_study_without_a_record_of_dropout_says_so():
    one = language_model()
    old = replace(one, shapes=replace(one.shapes, dropout=None))
    for toolkit in LANGUAGE:
        assert any("dropout may be on" in loss for loss in REGISTRY[toolkit].write(old).losses)


@pytest.mark.parametrize("toolkit", LANGUAGE)
def test_bf16_that_cannot_be_written_is_a_loss(toolkit):
    """A study in bf16 on a CPU was exported in fp32 without a word."""
    low = {"precision": {"format": "bf16"}, "device": "cpu"}
    assert any("bf16" in loss for loss in REGISTRY[toolkit].write(language_model(**low)).losses)
    on_gpu = REGISTRY[toolkit].write(language_model(**{**low, "device": "NVIDIA H200"}))
    assert not any("bf16" in loss for loss in on_gpu.losses)


def test_weights_of_the_model_itself_are_trained_in_fp32():
    gpu = {"precision": {"format": "bf16"}, "device": "NVIDIA H200"}
    assert keys("swift", language_model(**gpu))["torch_dtype"] == "bfloat16"
    assert keys("swift", language_model(method="full_layers", **gpu))["torch_dtype"] == "float32"
    lossy = REGISTRY["axolotl"].write(language_model(method="full_layers", **gpu))
    assert any("bf16" in loss for loss in lossy.losses)


@pytest.mark.parametrize("toolkit", LOSSLESS)
def test_batches_are_of_rows_of_similar_length(toolkit):
    found = keys(toolkit, language_model())
    assert found.get("train_sampling_strategy") == "group_by_length" or found.get("group_by_length") is True


def test_axolotl_leaves_its_kernels_off():
    """They switch themselves on where LoRA has no dropout, and `axolotl train` then ended on GPT-2 with an assertion."""
    found = keys("axolotl", language_model("gpt2"))
    assert [found[name] for name in ("lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel")] == [False] * 3


def test_axolotl_drops_no_rows():
    assert keys("axolotl", language_model())["dataloader_drop_last"] is False
