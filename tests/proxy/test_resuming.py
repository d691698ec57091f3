"""A run that is stopped and resumed is the run in one piece; packed is alone."""

from dataclasses import replace

import pytest

from autopeft.backbone.loading import load_backbone
from autopeft.configuration import Configuration
from autopeft.methods import REGISTRY, Method, get_method
from autopeft.proxy.job import Job, packs
from autopeft.proxy.trainer import Trainer
from autopeft.tasks import load_task
from autopeft.tasks.tokens import tokenise

RATES = (1e-3, 2e-3, 4e-3)


@pytest.fixture(scope="module")
def trainer():
    backbone = load_backbone("minilm-l6", 2)
    task = load_task("rotten-tomatoes", train_rows=96, validation_rows=48, test_rows=16)
    return Trainer(backbone, tokenise(task, backbone.tokenizer, 32), 8)


def configuration(method: str, rate: float = 2e-3) -> Configuration:
    layers = () if get_method(method).layers == "none" else range(6) if get_method(method).layers == "all" else (4, 5)
    return Configuration.of(method, get_method(method).defaults, layers, rate)


@pytest.mark.parametrize("method", REGISTRY)
def test_resumed_is_bit_equal_to_in_one_piece(trainer, method):
    job = Job(configuration(method), 3, 9, 9, (2, 5), rows=12, keep_state=True)
    (whole,) = trainer.run([job])
    state, curve = None, None
    for until in (2, 5, 9):
        (done,) = trainer.run([replace(job, until=until, evaluation_steps=(), state=state)])
        state, curve = done.state, curve.then(done.curve) if curve else done.curve
    assert state == whole.state
    assert replace(curve, seconds=0, peak_memory_bytes=0) == replace(whole.curve, seconds=0, peak_memory_bytes=0)


def packable(method) -> bool:
    return method.packable and type(method).callback is Method.callback


@pytest.mark.parametrize("method", [m for m in REGISTRY if packable(get_method(m))])
def test_packed_is_alone_within_rounding(trainer, method, monkeypatch):
    jobs = [Job(configuration(method, rate), 0, 4, 4, (2,), rows=12, test=True) for rate in RATES[:2]]
    alone = [trainer.run([job])[0] for job in jobs]
    monkeypatch.setattr(Trainer, "packing_pays", lambda *_: True)
    for one, packed in zip(alone, trainer.run(jobs)):
        assert packed.curve.validation_loss == pytest.approx(one.curve.validation_loss, abs=2e-4)
        assert packed.curve.test_loss == pytest.approx(one.curve.test_loss, abs=2e-4)


def test_packed_runs_are_resumed_too(trainer, monkeypatch):
    monkeypatch.setattr(Trainer, "packing_pays", lambda *_: True)
    jobs = [Job(configuration("lora", rate), 0, 6, 3, keep_state=True) for rate in RATES]
    half = trainer.run(jobs)
    rest = trainer.run([replace(j, until=6, state=d.state) for j, d in zip(jobs, half)])
    whole = trainer.run([replace(j, until=6) for j in jobs])
    assert [r.state for r in rest] == [w.state for w in whole]


def test_a_run_that_diverges_leaves_the_others_of_its_pack_alone(trainer, monkeypatch):
    monkeypatch.setattr(Trainer, "packing_pays", lambda *_: True)
    jobs = [Job(configuration("lora", rate), 0, 6, 6) for rate in (1e-3, 1e30)]
    good, bad = trainer.run(jobs)
    assert bad.curve is None and "the loss was" in bad.failure
    (alone,) = trainer.run(jobs[:1])
    assert good.curve.validation_loss == pytest.approx(alone.curve.validation_loss, abs=2e-4)


def test_packing_is_measured_once_and_never_with_a_loss_of_the_methods_own(trainer):
    lora = [Job(configuration("lora", rate), 0, 4, 4) for rate in RATES]
    assert trainer.packing_pays(lora) in (True, False) and len(trainer.packing.timed) == 1
    own = replace(
        configuration("dcft"), settings=tuple({**dict(configuration("dcft").settings), "orthogonality": 0.1}.items())
    )
    assert trainer.packing_pays([Job(replace(own, learning_rate=r), 0, 4, 4) for r in RATES]) is False


def test_a_pack_holds_what_differs_in_the_rate_only():
    jobs = [Job(configuration("lora", r), 0, 4, 4) for r in RATES]
    jobs += [
        Job(configuration("lora"), 1, 4, 4),
        Job(configuration("head_only"), 0, 4, 4),
        Job(configuration("dcft"), 0, 4, 4),
    ]
    found = packs(jobs)
    assert found[0] == [4] and sorted(map(len, found)) == [1, 1, 1, 3]


def test_the_first_validation_rows_hold_every_class(trainer):
    labels = trainer.tokenised.validation.labels
    few, more = trainer.rows("validation", 10), trainer.rows("validation", 20)
    assert list(more[:10]) == list(few) and len(set(few)) == 10
    assert abs(labels[few].mean() - labels.mean()) <= 0.1
    assert list(trainer.rows("validation", None)) == list(range(len(labels)))
