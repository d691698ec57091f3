"""How a toolkit is told to train: by the recipe's numbers, wherever it has words for them."""

import json
import re
from dataclasses import replace

import pytest
import torch
import yaml
from export_cases import case

from autopeft.base.recipe import BETAS, CLIP, EPSILON, WARMUP, WEIGHT_DECAY, learning_rate_factor
from autopeft.export import REGISTRY
from autopeft.export.mechanisms.training import BEST_WEIGHTS, RATE

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


def in_epochs(method: str = "lora", model_type: str = "llama", **spec):
    """A case of a study whose runs could end early."""
    return case(method, {"rank": 4} if method == "lora" else {}, model_type, full_steps=36, epochs=6.0, **spec)


ENDS = {"axolotl": "early_stopping_patience", "llamafactory": "early_stopping_steps", "swift": "early_stop_interval"}


@pytest.mark.parametrize("toolkit", ENDS)
def test_an_early_end_is_asked_for_where_a_toolkit_has_keys(toolkit):
    """The exported file trained all steps and kept the last weights, whatever the study had measured."""
    found = keys(toolkit, in_epochs(task="causal-lm"))
    assert found[ENDS[toolkit]] == 2 and found["load_best_model_at_end"] is True
    assert found["eval_steps"] == found["save_steps"] == 4, "eight times in 36 steps"
    assert any("validation" in str(found.get(key)) for key in ("test_datasets", "eval_dataset", "val_dataset"))
    assert REGISTRY[toolkit].write(in_epochs(task="causal-lm")).verdict == "lossless"
    plain = keys(toolkit, language_model())
    assert not {ENDS[toolkit], "eval_steps", "load_best_model_at_end"} & set(plain)


def test_what_has_no_keys_for_an_early_end_gets_a_script_or_says_so():
    assert set(REGISTRY["trl"].write(in_epochs(task="causal-lm")).files) == {
        "adapter_config.json",
        "data.py",
        "train.py",
    }
    losses = REGISTRY["unsloth"].write(in_epochs(task="causal-lm")).losses
    assert any("No run ends early: Unsloth trains all 36 steps" in loss for loss in losses)
    assert not any("ends early" in loss for loss in REGISTRY["unsloth"].write(language_model()).losses)


def test_llamafactory_finds_the_validation_rows():
    text = REGISTRY["llamafactory"].write(in_epochs(task="causal-lm")).files["dataset_info.json"]
    assert json.loads(text)["study_validation"]["file_name"] == "validation.jsonl"


@pytest.mark.parametrize("toolkit, model_type", [("adapters", "bert"), ("script", "bert"), ("trl", "llama")])
def test_scripts_with_an_early_end_are_python_and_those_without_have_none(toolkit, model_type):
    task = {"task": "causal-lm"} if model_type == "llama" else {}
    text = REGISTRY[toolkit].write(in_epochs(model_type=model_type, **task)).files["train.py"]
    compile(text, "train.py", "exec")
    assert "TrainerCallback" in text and "BestWeights(" in text
    method = "ia3" if toolkit == "trl" else "lora"  # for LoRA without an early end TRL needs no script
    plain = REGISTRY[toolkit].write(case(method, model_type=model_type, **task)).files["train.py"]
    assert "BestWeights" not in plain


def test_the_epochs_that_were_measured_are_said():
    text = REGISTRY["peft"].write(case("lora")).files["README.md"]
    assert "| length | 3.33 epochs, 20 steps of 4 rows |" in text
    text = REGISTRY["peft"].write(replace(in_epochs(), best_steps=(12, 1200))).files["README.md"]
    assert "| length | 6 epochs, 36 steps of 4 rows, ended early once 2 evaluations, one every 4 steps," in text
    assert "in the study's own runs those of step 12, 1,200 |" in text
    assert "# The study's own runs: 6 epochs, 36 steps" in REGISTRY["swift"].write(in_epochs()).files["sft.yaml"]


def test_the_callback_of_the_scripts_ends_a_run_as_the_search_does():
    from transformers import TrainerCallback, TrainerControl, TrainerState

    space = {"TrainerCallback": TrainerCallback, "torch": torch, "STEPS": 36, "EVERY": 4}
    exec(BEST_WEIGHTS, space)
    weight, control, state = torch.zeros(1), TrainerControl(), TrainerState()
    callback, seen, losses = space["BestWeights"]([weight]), [], iter((3.0, 2.0, 2.5, 2.0, 1.0))
    for state.global_step in range(1, 37):
        weight.fill_(state.global_step)
        callback.on_step_end(None, state, control)
        if control.should_evaluate:
            seen.append(state.global_step)
            callback.on_evaluate(None, state, control, {"eval_loss": next(losses)})
        if control.should_training_stop:
            break
    callback.on_train_end(None, state, control)
    assert seen == [4, 8, 12, 16] and weight.item() == 8
    state.global_step = 36
    callback.on_step_end(None, state, control)
    assert control.should_evaluate


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
