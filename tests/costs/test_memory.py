"""Predicted peak memory against the bytes of all live tensors of a training step."""

from dataclasses import replace

import pytest
import torch
from contract_cases import METHODS, layer_sets
from measured import backbone, measured_memory
from tiny import SEQ2SEQ, TOKENS
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoConfig, AutoModelForCausalLM

from autopeft.backbone.blocks import describe
from autopeft.backbone.loading import Backbone
from autopeft.configuration import Configuration
from autopeft.costs import Step, train_memory
from autopeft.costs.memory import memory
from autopeft.methods import REGISTRY, get_method, refusal
from autopeft.procedures import get_procedure
from autopeft.tasks.kind import get_kind

WITHIN = 0.15
STEP = Step(8, 64, attention="eager")
SOME = ("lora", "full", "bitfit", "serial_adapter", "dcft")
GIB = 2**30


def agrees(method: str, model_type: str, step: Step, task: str | None = None) -> None:
    found = backbone(model_type, step.attention, task)
    if why := refusal(method, found.shapes):
        pytest.skip(why)
    written = 20 if model_type in SEQ2SEQ else None
    step = replace(step, tokens=TOKENS.get(model_type, step.tokens), target_tokens=written)
    for layers in layer_sets(method, found.shapes.num_layers):
        configuration = Configuration.of(method, get_method(method).defaults, layers, 1e-3)
        measured = measured_memory(found, configuration, step)
        assert train_memory(configuration, found.shapes, step) == pytest.approx(measured, rel=WITHIN), configuration


@pytest.mark.parametrize("model_type", ["bert", "llama"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method(method, model_type):
    agrees(method, model_type, STEP)


@pytest.mark.parametrize("model_type", ["gpt2", "qwen3", "modernbert", "gpt_neox", "opt", "t5", "bart", "deberta-v2"])
@pytest.mark.parametrize("method", SOME)
def test_architectures(method, model_type):
    agrees(method, model_type, STEP)


@pytest.mark.parametrize("tokens", [32, 160])
@pytest.mark.parametrize("model_type", ["bert", "llama"])
@pytest.mark.parametrize("method", SOME)
def test_lengths_with_fused_attention(method, model_type, tokens):
    agrees(method, model_type, replace(STEP, tokens=tokens, attention="sdpa"))


@pytest.mark.parametrize("model_type", ["bert", "llama", "gpt2"])
@pytest.mark.parametrize("method", SOME)
def test_checkpointing(method, model_type):
    agrees(method, model_type, replace(STEP, gradient_checkpointing=True))


@pytest.mark.parametrize("method", ["lora", "serial_adapter"])
def test_language_models(method):
    agrees(method, "llama", replace(STEP, attention="sdpa"), "causal-lm")


@pytest.mark.parametrize("model_type", ["bert", "llama"])
@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("procedure", ["lozo", "sparse_mezo"])
def test_forward_only_training_keeps_a_direction_and_no_moments(procedure, method, model_type):
    found, how = backbone(model_type), dict(get_procedure(procedure).defaults)
    plain = Configuration.of(method, get_method(method).defaults, range(4), 1e-3)
    configuration = replace(plain, procedure=procedure, procedure_settings=tuple(sorted(how.items())))
    measured = measured_memory(found, configuration, STEP)
    assert train_memory(configuration, found.shapes, STEP) == pytest.approx(measured, rel=WITHIN)
    assert memory(configuration, found.shapes, STEP).moments == 0 < memory(plain, found.shapes, STEP).moments


def test_deep_freezing_saves_memory():
    shapes = backbone("bert").shapes
    peaks = [
        train_memory(Configuration.of("lora", REGISTRY["lora"].defaults, range(frozen, 4), 1e-3), shapes, STEP)
        for frozen in range(4)
    ]
    assert all(above < 0.85 * below for below, above in zip(peaks, peaks[1:]))


def llama(layers: int):
    """Llama 3.1 8B's config, with so many of its 32 layers."""
    return AutoConfig.for_model(
        "llama",
        vocab_size=128256,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=layers,
        num_attention_heads=32,
        num_key_value_heads=8,
        tie_word_embeddings=False,
    )


def rank_eight(layers: int) -> Configuration:
    return Configuration.of("lora", {"rank": 8, "target_modules": "all-linear", "rslora": False}, range(layers), 1e-4)


@pytest.mark.parametrize("rows, checkpointing, gib", [(2, False, 44), (2, True, 20.5), (32, False, 478)])
def test_what_was_estimated_by_hand_for_eight_billion_parameters(rows, checkpointing, gib):
    """LoRA of rank 8 on all linears of a bf16 backbone, 2,048 tokens."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(llama(32), dtype=torch.bfloat16)
    step = Step(rows, 2048, weight_bytes=2, gradient_checkpointing=checkpointing)
    predicted = train_memory(rank_eight(32), describe(model, "llama", get_kind("causal-lm")), step)
    assert predicted / GIB == pytest.approx(gib, rel=WITHIN)


@pytest.mark.parametrize("rows, checkpointing", [(2, False), (2, True), (32, False)])
def test_steps_of_a_large_model_without_its_weights(rows, checkpointing, monkeypatch):
    """The same model with four layers, its steps taken on tensors that have sizes and no numbers."""
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, *_, **__: module)  # fake parameters cannot be swapped
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = AutoModelForCausalLM.from_config(llama(4), dtype=torch.bfloat16, attn_implementation="sdpa")
        shapes = describe(model.eval().requires_grad_(False), "llama", get_kind("causal-lm"))
        step = Step(rows, 2048, weight_bytes=2, gradient_checkpointing=checkpointing)
        measured = measured_memory(Backbone("llama", model, None, shapes, ()), rank_eight(4), step)
    assert train_memory(rank_eight(4), shapes, step) == pytest.approx(measured, rel=WITHIN)
