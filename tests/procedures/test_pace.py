"""Adapters' additions can be read off and changed for every additive method; PACE's variants are their formulas."""

import numpy as np
import pytest
import torch
from procedure_cases import configuration, opened, trainer
from tiny import tiny_batch
from torch.nn.functional import cross_entropy

from autopeft.configuration import Configuration
from autopeft.methods import REGISTRY as METHODS
from autopeft.methods import refusal
from autopeft.methods.mechanisms.attach import attached, trainable_parameters
from autopeft.procedures import REGISTRY
from autopeft.procedures.mechanisms.additions import changed_additions, not_additive

ROWS = np.arange(8)


def additive(model_type: str) -> list[str]:
    shapes = trainer(model_type).backbone.shapes
    names = [m for m in METHODS if not refusal(m, shapes) and not METHODS[m].needs_statistics]
    return [m for m in names if not not_additive((m,), shapes)]


@pytest.mark.parametrize("model_type", ["bert", "gpt2", "llama"])
def test_additions_times_one_are_the_model_and_times_zero_the_backbone(model_type):
    backbone = trainer(model_type).backbone
    both = {"serial_adapter.bottleneck": 4, "serial_adapter.placement": "houlsby"}
    both |= {"lora.rank": 2, "lora.target_modules": "all-linear", "lora.rslora": False}
    cases = [Configuration.of(m, METHODS[m].defaults, range(3), 1e-3) for m in additive(model_type)]
    cases += [Configuration.of("serial_adapter", {"bottleneck": 4, "placement": "houlsby"}, range(3), 1e-3)]
    for case in [*cases, Configuration.of("lora+serial_adapter", both, range(3), 1e-3)]:
        batch = {k: v for k, v in tiny_batch().items() if k != "labels"}
        with torch.no_grad(), attached(case, backbone, 0) as model:
            start = model(**batch).logits
            generator = torch.Generator().manual_seed(0)
            for name, parameter in trainable_parameters(model):
                if not any(f"{h}.modules_to_save" in name for h in backbone.shapes.head_modules):
                    parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
            trained = model(**batch).logits
            with changed_additions(model, backbone.shapes, lambda _, addition: addition):
                torch.testing.assert_close(model(**batch).logits, trained, rtol=1e-4, atol=1e-5)
            with changed_additions(model, backbone.shapes, lambda _, addition: 0 * addition):
                without = model(**batch).logits
            assert not torch.equal(trained, without), case
            assert torch.equal(model(**batch).logits, trained), case
        if all(METHODS[m].zero_start for m in case.methods):
            torch.testing.assert_close(without, start, rtol=1e-4, atol=1e-5, msg=str(case))


def test_what_adds_nothing_to_a_module_is_refused():
    shapes = trainer().backbone.shapes
    for method in ("full", "head_only", "prefix_tuning"):
        assert REGISTRY["pace"].refuses((method,), shapes) == f"{method} adds nothing to the output of a module"
    assert "own weights" in REGISTRY["pace"].refuses(("bitfit", "pissa"), shapes)
    assert REGISTRY["pace"].refuses(("dsee",), shapes) is None  # its weights are pruned, and nothing of them moves
    assert {"lora", "dcft", "serial_adapter", "parallel_adapter", "ia3", "vera", "bitfit"} <= set(additive("bert"))


def pace(variant: str, sigma: float, weight: float = 1.0):
    how = {"variant": variant, "sigma": sigma, "weight": weight}
    return configuration("pace", trainer().backbone.shapes, "dcft", how=how)


def moved(session) -> None:
    """Adapters off zero, so that noise on what they add shows."""
    with torch.no_grad():
        for name, parameter in session.run.parameters.items():
            if "dcft_B" in name:
                parameter.fill_(0.3)


def plain_loss(session) -> float:
    logits, labels = session.logits("train", ROWS)
    return cross_entropy(logits[0], labels).item()


@pytest.mark.parametrize("variant", ["exact", "lazy", "fast"])
def test_without_noise_it_is_plain_training(variant):
    with opened(pace(variant, 0.0)) as session:
        moved(session)
        session.run.step = 1  # a step at which "lazy" does not halve the batch
        loss = session.procedure.gradients(session, ROWS, session.how)
        assert loss.item() == pytest.approx(plain_loss(session), abs=1e-5)


def test_exact_adds_the_distance_between_two_draws():
    losses = []
    for weight in (0.0, 1.0, 2.0):
        with opened(pace("exact", 1.0, weight)) as session:
            moved(session)
            losses.append(session.procedure.gradients(session, ROWS, session.how).item())
    assert losses[1] > losses[0] + 1e-5
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=2e-2)


def test_fast_compares_with_the_epoch_before():
    with opened(pace("fast", 1.0)) as session:
        moved(session)
        (memory,) = session.callbacks
        first = session.procedure.gradients(session, ROWS[:4], session.how).item()
        kept = memory.logits.clone()
        assert kept[:4].isfinite().all() and kept[4:].isnan().all()
        assert session.procedure.gradients(session, ROWS[:4], session.how).item() == pytest.approx(first, abs=1e-6)
        with torch.no_grad():
            memory.logits[:2] += 1.0  # two of four rows lie 1 away in each of 3 classes: 3 * 2 / 4
        assert session.procedure.gradients(session, ROWS[:4], session.how).item() == pytest.approx(
            first + 1.5, abs=1e-4
        )
        assert torch.equal(memory.state()["logits"][:4], memory.logits[:4])


def test_lazy_compares_at_every_fourth_step_on_half_of_the_batch():
    with opened(pace("lazy", 1.0)) as session:
        asked = []
        logits = session.logits
        session.logits = lambda part, rows: asked.append(len(rows)) or logits(part, rows)
        for session.run.step in range(5):
            session.procedure.gradients(session, ROWS, session.how)
        assert asked == [8] * 5  # 4 rows twice, or 8 rows once
        assert session.run.step == 4
