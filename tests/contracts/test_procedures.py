"""What holds for every training procedure; a new file in procedures/ is tested without a line here."""

import re
from dataclasses import replace
from math import prod

import pytest
import torch
from enumeration import every_configuration
from procedure_cases import PROCEDURES, configuration, settings, trainer
from sizes import bert_shapes
from test_real_minilm import SUBJECTS, VERDICTS
from tiny import LAYERS

from autopeft.backbone.loading import load_backbone
from autopeft.backbone.prefix import PrefixCache
from autopeft.methods import REGISTRY as METHODS
from autopeft.methods import refusal
from autopeft.methods.mechanisms.attach import attached, is_head, trainable_parameters
from autopeft.procedures import REGISTRY
from autopeft.proxy.job import Job
from autopeft.proxy.trainer import Trainer
from autopeft.space import SpaceFile, build_space, parameters_of
from autopeft.tasks.task import Split, Task
from autopeft.tasks.tokens import tokenise

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
def test_resumed_is_bit_equal_to_in_one_piece(name, pick):
    found = trainer()
    wanted = configuration(name, found.backbone.shapes, how=settings(name, EXTREMES[pick]))
    job = Job(wanted, 3, 26, 26, (7, 20), keep_state=True)
    (whole,) = found.run([job])
    state, losses = None, []
    for until in (7, 20, 26):
        (done,) = found.run([replace(job, until=until, evaluation_steps=(), state=state)])
        state, losses = done.state, [*losses, *done.curve.validation_loss]
    assert state == whole.state and losses == list(whole.curve.validation_loss)


@pytest.mark.parametrize("model_type", ("bert", "gpt2", "llama"))
@every_procedure
def test_leaves_the_backbone_and_the_random_state_as_they_were(name, model_type):
    found = trainer(model_type)
    before = {n: v.clone() for n, v in found.backbone.model.state_dict().items()}
    modules, random = [n for n, _ in found.backbone.model.named_modules()], torch.get_rng_state()
    (done,) = found.run([Job(configuration(name, found.backbone.shapes), 0, 4, 4)])
    assert not done.failure
    now = found.backbone.model.state_dict()
    assert list(now) == list(before) and all(torch.equal(now[n], v) for n, v in before.items())
    assert [n for n, _ in found.backbone.model.named_modules()] == modules
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(p.requires_grad or p.grad is not None for p in found.backbone.model.parameters())
    hooks = [m for m in found.backbone.model.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert not hooks


@every_procedure
def test_trains_or_refuses_every_method(name):
    """On the highest layer, so that others stay frozen; the head is trained whatever is chosen."""
    found = trainer()
    shapes = found.backbone.shapes
    for method, stated in METHODS.items():
        if refusal(method, shapes):
            continue
        if why := REGISTRY[name].refuses((method,), shapes):
            assert not why.endswith(".") and "\n" not in why
            continue
        layers = {"none": (), "all": range(LAYERS)}.get(stated.layers, (LAYERS - 1,))
        wanted, trained = configuration(name, shapes, method, layers), {}

        def keep(model, to=trained):
            to.update((n, p.detach().clone()) for n, p in model.named_parameters())

        (done,) = found.run([Job(wanted, 0, 3, 3)], keep=keep)
        assert not done.failure, (method, done.failure)
        with attached(wanted, found.backbone, 0, found.statistics) as model:
            start = dict(trainable_parameters(model))
            assert any(is_head(n, shapes.head_modules) and not torch.equal(trained[n], p) for n, p in start.items())


@every_procedure
def test_with_stored_hidden_states_it_trains_the_same(name, tmp_path):
    """Three passes over the rows: the first stores what the frozen blocks give, the others read it."""
    plain = trainer()
    cache = PrefixCache(plain.backbone, plain.tokenised, 10**8, tmp_path)
    stored = Trainer(plain.backbone, plain.tokenised, plain.batch_size, prefix=cache)
    job = Job(configuration(name, plain.backbone.shapes, layers=(LAYERS - 1,)), 0, 15, 15, (5,))
    curves = [found.run([job])[0].curve for found in (plain, stored)]
    assert curves[0].validation_loss == pytest.approx(curves[1].validation_loss, abs=1e-5)
    assert (cache.read_rows > 0) != REGISTRY[name].needs_whole_backbone


@every_procedure
def test_is_not_plain_training_under_another_name(name):
    found = trainer()
    wanted = configuration(name, found.backbone.shapes)
    plain = replace(wanted, procedure="plain", procedure_settings=())
    states = [found.run([Job(c, 0, 14, 14, keep_state=True)])[0].state for c in (wanted, plain)]
    assert (states[0] == states[1]) == (name == "plain")


@every_procedure
def test_a_space_with_it_is_sampled_and_counted_exactly(name):
    narrow = {"rank": [1, 2], "target_modules": ["ffn"], "rslora": [False]}
    file = SpaceFile(methods={"lora": narrow, "full": {}, "head_only": {}}, procedures={name: {}})
    space = build_space("mine", file, bert_shapes())
    found = every_configuration(space)
    assert len(found) == len(set(found)) == space.configurations
    for made in found[:: 1 + len(found) // 20]:
        assert parameters_of(space, made).parameters["method"] == made.method
    ways = {made.procedure_settings for made in found if made.procedure == name != "plain"}
    assert len(ways) == (name != "plain") * prod(map(len, REGISTRY[name].hyperparameters.values()))


@pytest.fixture(scope="module")
def real():
    """MiniLM-L6 and 32 short texts, all of them also the validation split."""
    backbone = load_backbone("minilm-l6", 2)
    texts, labels = zip(*[(f"{subject} {verdict}.", label) for subject in SUBJECTS for verdict, label in VERDICTS])
    split = Split(texts, labels)
    task = Task("verdicts", ("bad", "good"), "accuracy", split, split, split)
    return Trainer(backbone, tokenise(task, backbone.tokenizer, 16), 8)


@every_procedure
def test_learns_a_real_task(name, real, monkeypatch):
    """Thirty steps; without backward passes they are few, and the loss has to fall at all."""
    backward, calls = torch.Tensor.backward, []
    monkeypatch.setattr(torch.Tensor, "backward", lambda *a, **k: calls.append(1) or backward(*a, **k))
    (done,) = real.run([Job(configuration(name, real.backbone.shapes), 0, 30, 30, (1,))])
    first, last = done.curve.validation_loss
    assert last < (0.8 if calls else 1.0) * first
