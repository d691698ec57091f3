"""What holds for every training procedure; a new file in procedures/ is tested without a line here."""

import re
from dataclasses import replace

import pytest
import torch
from procedure_cases import PROCEDURES, configuration, settings, trainer
from tiny import LAYERS

from autopeft.methods import REGISTRY as METHODS
from autopeft.methods import refusal
from autopeft.methods.attach import attached, is_head, trainable_parameters
from autopeft.procedures import REGISTRY
from autopeft.proxy.job import Job

every_procedure = pytest.mark.parametrize("name", PROCEDURES)
EXTREMES = {"defaults": None, "smallest": lambda v: v[0], "largest": lambda v: v[-1]}


def train(name: str, seed: int = 0, how: dict | None = None, steps: int = 14, model_type: str = "bert", **job):
    found = trainer(model_type)
    wanted = configuration(name, found.backbone.shapes, how=how)
    (done,) = found.run([Job(wanted, seed, steps, steps, keep_state=True, **job)])
    assert not done.failure, done.failure
    return done


@every_procedure
def test_states_its_facts(name):
    stated = REGISTRY[name]
    assert stated.title and re.search(r"\d{4}", stated.paper) and stated.learning_rate_factor > 0
    assert set(stated.defaults) == set(stated.hyperparameters)
    assert all(stated.defaults[k] in choices for k, choices in stated.hyperparameters.items())
    assert name not in METHODS  # both carry their settings in a space by their name


@every_procedure
def test_one_seed_repeats_and_two_differ(name):
    first, again, other = train(name), train(name), train(name, seed=1)
    assert first.state == again.state and first.curve.validation_loss == again.curve.validation_loss
    assert first.state != other.state


@pytest.mark.parametrize("pick", EXTREMES)
@every_procedure
def test_in_stretches_is_bit_equal_to_in_one_piece(name, pick):
    found = trainer()
    wanted = configuration(name, found.backbone.shapes, how=settings(name, EXTREMES[pick]))
    job = Job(wanted, 3, 26, 26, (7, 20), keep_state=True)
    (whole,) = found.run([job])
    state, losses = None, []
    for until in (7, 20, 26):
        (done,) = found.run([replace(job, until=until, marks=(), state=state)])
        state, losses = done.state, [*losses, *done.curve.validation_loss]
    assert state == whole.state and losses == list(whole.curve.validation_loss)


@pytest.mark.parametrize("model_type", ("bert", "gpt2", "llama"))
@every_procedure
def test_leaves_the_backbone_and_the_random_state_as_they_were(name, model_type):
    found = trainer(model_type)
    before = {n: v.clone() for n, v in found.backbone.model.state_dict().items()}
    modules, random = [n for n, _ in found.backbone.model.named_modules()], torch.get_rng_state()
    trained = []

    def look(model):
        frozen = {n: p for n, p in model.named_parameters() if ".".join(n.split(".")[2:]) in before}
        trained.extend(n for n, p in frozen.items() if not torch.equal(p, before[".".join(n.split(".")[2:])]))

    wanted = configuration(name, found.backbone.shapes)
    (done,) = found.run([Job(wanted, 0, 4, 4)], keep=look)
    assert not done.failure and not trained
    now = found.backbone.model.state_dict()
    assert list(now) == list(before) and all(torch.equal(now[n], v) for n, v in before.items())
    assert [n for n, _ in found.backbone.model.named_modules()] == modules
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(p.requires_grad or p.grad is not None for p in found.backbone.model.parameters())
    hooks = [m for m in found.backbone.model.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert not hooks


@every_procedure
def test_trains_or_refuses_every_method(name):
    """On a suffix of the layers, so that what lies below stays; the head is trained whatever is chosen."""
    found = trainer()
    shapes = found.backbone.shapes
    for method in METHODS:
        if refusal(method, shapes) or METHODS[method].needs_statistics:
            continue
        if why := REGISTRY[name].refuses((method,), shapes):
            assert not why.endswith(".") and "\n" not in why
            continue
        kind = METHODS[method].layers
        layers = () if kind == "none" else range(LAYERS) if kind == "all" else (LAYERS - 1,)
        wanted = configuration(name, shapes, method, layers)
        moved = []

        def look(model, wanted=wanted, moved=moved):
            now = {n: p.detach().clone() for n, p in model.named_parameters()}
            moved.append(now)

        (done,) = found.run([Job(wanted, 0, 3, 3)], keep=look)
        assert not done.failure, (method, done.failure)
        with attached(wanted, found.backbone, 0) as model:
            start = {n: p.detach().clone() for n, p in trainable_parameters(model)}
        changed = {n for n, value in start.items() if not torch.equal(moved[0][n], value)}
        assert any(is_head(n, shapes.head_modules) for n in changed), method


@every_procedure
def test_acts_through_the_trainer(name):
    """Beside plain training itself, no procedure is plain training under another name."""
    if name != "plain":
        assert train(name).state != replace_state(name)


def replace_state(name: str) -> bytes:
    found = trainer()
    wanted = configuration(name, found.backbone.shapes)
    (plain,) = found.run([Job(replace(wanted, procedure="plain", procedure_settings=()), 0, 14, 14, keep_state=True)])
    return plain.state
