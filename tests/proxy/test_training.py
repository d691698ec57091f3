"""The proxy run on real weights and real rows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hardware import needs_bf16

from autopeft.backbone.loading import load_backbone
from autopeft.base.recipe import learning_rate_factor
from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.methods.mechanisms.attach import attached, trainable_parameters
from autopeft.proxy.precision import choose_precision, resident
from autopeft.proxy.run import parameter_groups
from autopeft.proxy.scoring import evaluate
from autopeft.proxy.trainer import Diverged, train
from autopeft.tasks import load_task
from autopeft.tasks.tokens import tokenise

LORA = Configuration.of("lora", get_method("lora").defaults, range(6), 2e-3)
PROBE = Configuration.of("head_only", {}, (), 3e-3)


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("minilm-l6", 2)


@pytest.fixture(scope="module")
def tokenised(backbone):
    task = load_task("rotten-tomatoes", train_rows=64, validation_rows=32, test_rows=32)
    return tokenise(task, backbone.tokenizer, 32)


def bytes_of(model) -> dict:
    return {k: v.clone() for k, v in model.state_dict().items()}


def test_a_run_is_measured_and_leaves_no_trace(backbone, tokenised):
    before = bytes_of(backbone.model)
    curve = train(backbone, tokenised, LORA, seed=0, steps=4, batch_size=8, evaluation_steps=(2,), test=True)
    assert curve.steps == (2, 4) and len(curve.validation_loss) == len(curve.train_loss) == 2
    assert 0 <= curve.test_score <= 1 and curve.seconds > 0 and curve.peak_memory_bytes > 0
    after = backbone.model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[k], after[k]) for k in before)
    assert not backbone.model.training and not any(p.requires_grad for p in backbone.model.parameters())


def test_one_seed_repeats_and_two_differ(backbone, tokenised):
    one, again, other = (train(backbone, tokenised, LORA, seed=s, steps=3, batch_size=8) for s in (0, 0, 1))
    assert one.validation_loss == again.validation_loss and one.validation_loss != other.validation_loss


def test_the_head_has_its_own_rate_except_for_the_probe(backbone):
    for configuration, head in ((LORA, 1e-3), (PROBE, PROBE.learning_rate)):
        with attached(configuration, backbone, 0) as model:
            named = dict(trainable_parameters(model))
            (_, rate), (head_names, head_rate) = parameter_groups(named, backbone, configuration, 1e-3)
        assert rate == configuration.learning_rate and head_rate == head
        assert sum(named[n].numel() for n in head_names) == backbone.shapes.head_parameters


def test_a_loss_that_is_no_number_ends_the_run_and_restores_the_backbone(backbone, tokenised):
    before = bytes_of(backbone.model)
    with pytest.raises(Diverged, match="the loss was (nan|inf) at step"):
        train(backbone, tokenised, replace(LORA, learning_rate=1e30), seed=0, steps=8, batch_size=8)
    assert all(torch.equal(before[k], v) for k, v in backbone.model.state_dict().items())


def test_a_run_that_ends_with_a_loss_that_is_no_number_has_failed(backbone, tokenised):
    """The last step was the one too many: the training loss before it was a number, so the run counted, with a score."""
    with pytest.raises(Diverged, match="the validation loss was (nan|inf) at step 1 of 1"):
        train(backbone, tokenised, replace(LORA, learning_rate=1e30), seed=0, steps=1, batch_size=8)


def test_predictions_keep_the_order_of_the_rows(backbone, tokenised):
    split = tokenised.validation
    with torch.no_grad():
        rows = [torch.as_tensor(np.asarray(ids), dtype=torch.long)[None] for ids in split.input_ids]
        alone = torch.cat([backbone.model(input_ids=ids).logits for ids in rows])
    labels = torch.as_tensor(split.labels)
    loss, score = evaluate(backbone.model, split, tokenised)
    assert loss == pytest.approx(torch.nn.functional.cross_entropy(alone, labels).item(), abs=1e-4)
    assert score == (alone.argmax(-1) == labels).float().mean().item()


def test_the_schedule_rises_then_falls():
    factors = [learning_rate_factor(step, 100) for step in range(100)]
    assert max(factors) == 1 and factors[0] < 0.2 and factors[-1] < 0.02 and np.argmax(factors) <= 6


def test_precision_is_the_fastest_of_what_was_timed(tokenised, monkeypatch):
    """A format whose products alone are many times slower is not timed: without hardware for bf16 a step takes seconds."""
    monkeypatch.setattr("autopeft.proxy.precision.worth_timing", lambda dtype: dtype == torch.float32)
    precision = choose_precision(load_backbone("minilm-l6", 2), tokenised, LORA, 8)
    assert set(precision.seconds_per_step) == {f"{f}/{a}" for f in ("fp32",) for a in ("eager", "sdpa")}
    assert precision.seconds_per_step[f"{precision.format}/{precision.attention}"] == min(
        precision.seconds_per_step.values()
    )
    forced = choose_precision(load_backbone("minilm-l6", 2), tokenised, LORA, 8, "fp32")
    assert forced.format == "fp32" and resident("minilm-l6", 2, forced).model.dtype == torch.float32


@needs_bf16
def test_bf16_learns_as_fp32_does(tokenised):
    precision = choose_precision(load_backbone("minilm-l6", 2), tokenised, LORA, 8, "bf16")
    half = resident("minilm-l6", 2, precision)
    whole = load_backbone("minilm-l6", 2)
    losses = [train(b, tokenised, LORA, seed=0, steps=20, batch_size=16).train_loss[-1] for b in (half, whole)]
    assert losses[0] == pytest.approx(losses[1], abs=0.05)
