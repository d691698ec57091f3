"""Counted operations against torch's own counter, on real forward and backward passes."""

from dataclasses import replace

import pytest
from contract_cases import METHODS, configurations, default, fitting, layer_sets, settings
from measured import LANGUAGE_MODEL, backbone, measured_flops
from tiny import SEQ2SEQ, TOKENS

from autopeft.backbone.loading import load_backbone
from autopeft.configuration import Configuration
from autopeft.costs import Step, forward_flops, train_flops
from autopeft.methods import REGISTRY, get_method, refusal

EXACT = ("lora", "dcft", "serial_adapter", "parallel_adapter", "full", "head_only", "bitfit", "ln_tuning", "ia3")
TOLERANCE = dict.fromkeys(EXACT, 0.02)  # of the others 0.1
KINDS = ("bert", "gpt2", "llama")
OTHERS = ("roberta", "deberta-v2", "distilbert", "modernbert", "qwen3", "gemma", "gpt_neox", "opt", "t5", "bart", "vit")
PLAIN = Step(3, 24, attention="eager")
STEPS = {
    "plain": PLAIN,
    "fused attention": replace(PLAIN, attention="sdpa"),
    "checkpointing": replace(PLAIN, gradient_checkpointing=True),
}


def of(model_type: str, step: Step) -> Step:
    """The step with as many tokens as the model makes of a picture, or as its decoder is to write."""
    written = 10 if model_type in SEQ2SEQ else None
    return replace(step, tokens=TOKENS.get(model_type, step.tokens), target_tokens=written)


def agrees(found, configuration: Configuration, step: Step) -> None:
    forward, backward = measured_flops(found, configuration, step)
    counted = train_flops(configuration, found.shapes, step)
    within = TOLERANCE.get(configuration.method, 0.1)
    assert counted == pytest.approx(forward + backward, rel=within), configuration
    assert forward_flops(configuration, found.shapes, step, merged=False) == pytest.approx(forward, rel=within)


def fits(method: str, model_type: str, attention: str = "eager", task: str | None = None):
    found = backbone(model_type, attention, task)
    if why := refusal(method, found.shapes):
        pytest.skip(why)
    return found


@pytest.mark.parametrize("model_type", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_at_its_defaults_and_its_largest(method, model_type):
    found = fits(method, model_type)
    for pick in (lambda m, s: m.defaults[s], lambda m, s: m.hyperparameters[s][-1]):
        for layers in layer_sets(method, found.shapes.num_layers):
            agrees(found, Configuration.of(method, settings(method, pick), layers, 1e-3), PLAIN)


@pytest.mark.parametrize("name", ["fused attention", "checkpointing"])
@pytest.mark.parametrize("model_type", [*KINDS, "t5"])
@pytest.mark.parametrize("method", EXACT)
def test_ways_of_computing(method, model_type, name):
    step = of(model_type, STEPS[name])
    found = fits(method, model_type, step.attention)
    for layers in layer_sets(method, found.shapes.num_layers):
        agrees(found, Configuration.of(method, get_method(method).defaults, layers, 1e-3), step)


@pytest.mark.parametrize("model_type", OTHERS)
@pytest.mark.parametrize("method", [*EXACT, "prefix_tuning"])
def test_architectures(method, model_type):
    found = fits(method, model_type)
    for layers in layer_sets(method, found.shapes.num_layers):
        agrees(found, Configuration.of(method, get_method(method).defaults, layers, 1e-3), of(model_type, PLAIN))


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "opt"])
@pytest.mark.parametrize("method", ["lora", "full", "dcft"])
def test_language_models(method, model_type):
    agrees(*(lambda b: (b, default(method, b.shapes.num_layers)))(fits(method, model_type, task=LANGUAGE_MODEL)), PLAIN)


@pytest.mark.parametrize("frozen", [0, 3, 5])
@pytest.mark.parametrize("method", ["lora", "dcft", "serial_adapter", "full", "vera"])
def test_real_minilm_at_several_depths(minilm, method, frozen):
    found = load_backbone(minilm, 3)
    configuration = Configuration.of(method, get_method(method).defaults, range(frozen, 6), 1e-3)
    agrees(found, configuration, Step(2, 32, attention="eager"))


def test_a_stored_prefix_saves_the_forward_pass_below():
    shapes, half = backbone("bert").shapes, Configuration.of("lora", REGISTRY["lora"].defaults, (2, 3), 1e-3)
    stored = replace(PLAIN, stored_prefix=True)
    saved = train_flops(half, shapes, PLAIN) - train_flops(half, shapes, stored)
    bare = Configuration.of("head_only", {}, (), 1e-3)
    assert saved * 2 == pytest.approx(forward_flops(bare, shapes, PLAIN, merged=True), rel=0.01)


def test_what_merges_costs_nothing_afterwards():
    shapes, bare = backbone("llama").shapes, Configuration.of("head_only", {}, (), 1e-3)
    for method in ("lora", "dcft", "serial_adapter"):
        configuration = default(method, shapes.num_layers)
        more = forward_flops(configuration, shapes, PLAIN, True) - forward_flops(bare, shapes, PLAIN, True)
        assert (more > 0) == (not get_method(method).mergeable)


def test_procedures_change_the_number_of_passes():
    shapes, lora = backbone("bert").shapes, REGISTRY["lora"].defaults

    def cost(procedure: str, **how) -> int:
        return train_flops(Configuration.of("lora", lora, range(4), 1e-3, procedure, how), shapes, PLAIN)

    plain = cost("plain")
    forward = forward_flops(Configuration.of("lora", lora, range(4), 1e-3), shapes, PLAIN, merged=False)
    assert cost("lozo", rank=2, interval=50) == cost("sparse_mezo", sparsity=0.75) == 2 * forward
    assert cost("pace", variant="exact", sigma=1.0, weight=1.0) == 2 * plain
    assert cost("token_elimination", keep=0.5, from_depth=0.25) < 0.8 * plain


def test_settings_of_every_method_are_counted():
    """Any configuration of a registered method has a cost; plug-ins that state none are counted as dense products."""
    for method in METHODS:
        found = fitting(method, "bert") if not refusal(method, backbone("bert").shapes) else None
        for configuration in configurations(method, 3) if found else ():
            assert train_flops(configuration, found.shapes, PLAIN) > 0
