"""Dynamic context pruning: the gates, what they hide, and how they harden."""

from dataclasses import replace

import pytest
import torch
from procedure_cases import trainer
from tiny import tiny_batch, tiny_model
from tuner_checks import attach, fields_and_count, logits

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.methods import count, get_method, refusal
from autopeft.methods.context_pruning import HARDEST, SOFT, alpha
from autopeft.methods.mechanisms.attach import attached, count_built
from autopeft.methods.tuners.context_pruning import (
    SOFTEST,
    context_pruning_layers,
    gates,
    mean_weight,
    sparse_sigmoid,
    visibility,
)
from autopeft.proxy.job import Job

SCORES = torch.linspace(-3, 3, 61)
METHOD = get_method("context_pruning")


def test_the_sparse_sigmoid_has_its_closed_forms():
    torch.testing.assert_close(sparse_sigmoid(SCORES, 2.0), ((SCORES + 1) / 2).clamp(0, 1), atol=1e-4, rtol=0)
    root = (SCORES / 4 + (1 / 2 - SCORES.square() / 16).clamp(min=0).sqrt()).square()  # alpha = 1.5
    inside = SCORES.abs() < 1.99
    torch.testing.assert_close(sparse_sigmoid(SCORES, 1.5)[inside], root[inside], atol=1e-4, rtol=0)
    torch.testing.assert_close(sparse_sigmoid(SCORES, 1.0001), SCORES.sigmoid(), atol=1e-3, rtol=0)
    assert set(sparse_sigmoid(SCORES[SCORES.abs() > 1 / 7 + 1e-3], 8.0).tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("hardness", [SOFTEST, 2.0, 2.5])
def test_its_slope_is_the_one_of_its_values(hardness):
    scores = SCORES.clone().requires_grad_()
    sparse_sigmoid(scores, hardness).sum().backward()
    step = 5e-3
    rise = (sparse_sigmoid(SCORES + step, hardness) - sparse_sigmoid(SCORES - step, hardness)) / (2 * step)
    smooth = (SCORES.abs() - 1 / (hardness - 1)).abs() > 2 * step
    torch.testing.assert_close(scores.grad[smooth], rise[smooth], atol=2e-2, rtol=2e-2)


def test_a_step_has_the_slope_of_the_softest_gate():
    scores = SCORES.clone().requires_grad_()
    steps = gates(scores, None)
    assert torch.equal(steps, (SCORES > 0).float())
    (taken,) = torch.autograd.grad(steps.sum(), scores)
    (soft,) = torch.autograd.grad(sparse_sigmoid(scores, SOFTEST).sum(), scores)
    assert torch.equal(taken, soft)


def test_a_token_that_is_dropped_stays_dropped():
    open_ = torch.full((1, 4, 4), 0.5)
    open_[0, 2, 0] = 0.0  # token 2 drops token 0
    seen = visibility(open_).exp()[0]
    by_hand = torch.ones(4, 4)
    for n in range(4):
        for k in range(n):
            by_hand[n, k] = torch.stack([open_[0, j, k] for j in range(k + 1, n + 1)]).prod()
    torch.testing.assert_close(seen, by_hand)
    assert seen[1, 0] == 0.5 and seen[2, 0] == seen[3, 0] == 0 and seen.diagonal().eq(1).all()
    text = torch.tensor([[True, True, False, False]])
    assert mean_weight(visibility(open_), text) == 0.5  # the one pair of text tokens
    assert mean_weight(visibility(torch.ones(1, 1, 1)), None) == 0


@pytest.mark.parametrize("model_type, attention", [("llama", "eager"), ("gpt2", "sdpa"), ("opt", "eager")])
def test_dropped_is_as_if_masked(model_type, attention):
    """Every gate shut: each token attends to itself alone, as under a mask of the diagonal."""
    fields, counted = fields_and_count("context_pruning", model_type, layers=(0, 1, 2))
    model, batch = attach(fields, tiny_model(model_type, attention)), tiny_batch()
    for layer in context_pruning_layers(model):
        layer.pruning_offset["default"].data.fill_(-1.0)
    whole = logits(model, batch)
    last = batch["attention_mask"].sum(1) - 1
    if model_type == "llama":  # rotary positions are relative: a token alone says the same anywhere
        alone = batch["input_ids"].gather(1, last[:, None])
        with model.disable_adapter():
            torch.testing.assert_close(whole, logits(model, {"input_ids": alone}), atol=1e-5, rtol=1e-5)
    changed = {**batch, "input_ids": batch["input_ids"].clone()}
    changed["input_ids"][:, 0] = 50
    torch.testing.assert_close(logits(model, changed), whole, atol=1e-6, rtol=0)
    assert counted == 3 * (2 * 32 * 16 + 1)


@pytest.mark.parametrize("model_type, attention", [("llama", "sdpa"), ("gpt2", "eager"), ("qwen3", "sdpa")])
def test_contract(model_type, attention, tmp_path):
    fields, counted = fields_and_count("context_pruning", model_type)
    base, batch = tiny_model(model_type, attention), tiny_batch()
    before = logits(base, batch)
    model = attach(fields, base)
    assert torch.equal(logits(model, batch), before)
    for layer in context_pruning_layers(model):  # off the start, where the keys' weight stops the queries' gradient
        layer.pruning_key["default"].data.normal_()
    assert not torch.equal(logits(model, batch), before)
    check_saved(model, batch, model_type, attention, tmp_path)
    assert counted == 2 * (2 * 32 * 16 + 1)


def check_saved(model, batch, model_type, attention, folder):
    from peft import PeftModel

    said = logits(model, batch)
    model.save_pretrained(folder)
    assert torch.equal(logits(PeftModel.from_pretrained(tiny_model(model_type, attention), folder).eval(), batch), said)


def test_eager_and_sdpa_agree_with_and_without_a_mask():
    fields, _ = fields_and_count("context_pruning", "llama", layers=(0, 1, 2))
    for batch in (tiny_batch(), {"input_ids": tiny_batch()["input_ids"].clamp(min=4)}):
        said = []
        for kind in ("eager", "sdpa"):
            model = attach(fields, tiny_model("llama", kind))
            for number, layer in enumerate(context_pruning_layers(model)):
                layer.pruning_key["default"].data.normal_(generator=torch.Generator().manual_seed(number))
            said.append(logits(model, batch))
        torch.testing.assert_close(*said, atol=1e-5, rtol=1e-4)


def test_gates_harden_and_are_steps_when_scored():
    found = trainer("llama")
    wanted = Configuration.of("context_pruning", {**METHOD.defaults, "sparsity": 1.0}, (0, 1, 2), 1e-2)
    assert alpha(0.0) == alpha(SOFT) == SOFTEST < alpha(0.7) < alpha(0.9) < alpha(1.0) == HARDEST
    job = Job(wanted, 0, 60, 60, (20,), keep_state=True)
    kept = []
    (whole,) = found.run([job], keep=lambda model: kept.extend(context_pruning_layers(model)))
    assert all(layer.alpha is None for layer in kept) and min(layer.kept for layer in kept) < 0.8  # some were dropped
    (first,) = found.run([replace(job, until=20)])
    (second,) = found.run([replace(job, evaluation_steps=(), state=first.state)])
    assert second.state == whole.state


def test_combines_with_lora_and_not_with_prefixes():
    found = trainer("gpt2").backbone
    both = {f"{m}.{k}": v for m in ("context_pruning", "lora") for k, v in get_method(m).defaults.items()}
    wanted = Configuration.of("context_pruning+lora", both, (0, 2), 1e-3)
    with attached(wanted, found, seed=0) as model:
        assert count_built(model, found.shapes.head_modules) == count(wanted, found.shapes)
        loss = model(**tiny_batch()).loss + METHOD.extra_loss(model, wanted.settings_of("context_pruning"))
        loss.backward()
    assert "attention function" in refusal("context_pruning+prefix_tuning", found.shapes)


def test_encoders_and_caches_are_refused_in_one_sentence():
    assert "reads both ways" in refusal("context_pruning", trainer("bert").backbone.shapes)
    model = attach(fields_and_count("context_pruning", "llama")[0], tiny_model("llama"))
    for layer in context_pruning_layers(model):
        layer.pruning_offset["default"].data.fill_(-1.0)
    with torch.no_grad():
        cache = model(input_ids=tiny_batch()["input_ids"], use_cache=True).past_key_values
        with pytest.raises(AutopeftError, match="use_cache"):
            model(input_ids=torch.full((4, 2), 50), past_key_values=cache)


@pytest.mark.slow
def test_learns_on_a_real_decoder():
    from autopeft.backbone.loading import load_backbone

    backbone = load_backbone("smollm2-135m", 2)
    tokens = backbone.tokenizer(["A good film.", "A bad film, dull and long."], padding=True, return_tensors="pt")
    wanted = Configuration.of("context_pruning", METHOD.defaults, (27, 28, 29), 1e-3)
    with torch.no_grad():
        before = backbone.model(**tokens).logits
    with attached(wanted, backbone, seed=0) as model:
        assert count_built(model, backbone.shapes.head_modules) == count(wanted, backbone.shapes)
        optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
        losses = []
        for _ in range(12):
            loss = torch.nn.functional.cross_entropy(model(**tokens).logits, torch.tensor([1, 0]))
            losses.append(loss.item())
            optimiser.zero_grad()
            (loss + METHOD.extra_loss(model, {"sparsity": 1.0})).backward()
            optimiser.step()
        assert losses[-1] < losses[0] and min(layer.kept for layer in context_pruning_layers(model)) < 1
    with torch.no_grad():
        assert torch.equal(backbone.model(**tokens).logits, before)
