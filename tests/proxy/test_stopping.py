"""A run ends when it no longer gets better, and gives what its best point had."""

from dataclasses import replace
from math import nan

import pytest
import torch

from autopeft.backbone.loading import load_backbone
from autopeft.configuration import Configuration
from autopeft.methods import REGISTRY, Method, get_method
from autopeft.procedures import REGISTRY as PROCEDURES
from autopeft.procedures import get_procedure
from autopeft.procedures.mechanisms.procedure import Procedure
from autopeft.proxy.curve import Curve
from autopeft.proxy.job import Job
from autopeft.proxy.session import Session
from autopeft.proxy.stopping import EarlyStopping
from autopeft.proxy.trainer import Trainer
from autopeft.tasks import load_task
from autopeft.tasks.tokens import tokenise

POINTS = (4, 8, 12, 16, 20, 24, 28, 32)
RATE, SLOW = 2e-3, 2e-4  # the first learns sixteen rows by heart, the second gets better to the end


@pytest.fixture(scope="module")
def trainer():
    backbone = load_backbone("minilm-l6", 2)
    task = load_task("rotten-tomatoes", train_rows=16, validation_rows=64, test_rows=48)
    return Trainer(backbone, tokenise(task, backbone.tokenizer, 24), 8, head_learning_rate=5e-5)


def configuration(method: str, rate: float = RATE, procedure: str = "plain") -> Configuration:
    settings = {**get_method(method).defaults, **({"refresh": 2} if method == "lift" else {})}
    layers = () if get_method(method).layers == "none" else range(6) if get_method(method).layers == "all" else (4, 5)
    return Configuration.of(method, settings, layers, rate, procedure, get_procedure(procedure).defaults)


def watched(rate: float = RATE, **fields) -> Job:
    return Job(configuration("lora", rate), 0, 32, 32, POINTS, test=True, units="loss", patience=2, **fields)


def timeless(curve: Curve) -> Curve:
    return replace(curve, seconds=0, peak_memory_bytes=0)


def test_what_is_seen_decides():
    watch, weight = EarlyStopping(2), torch.zeros(1)
    assert not watch.stopped
    for loss, best, stopped in ((3.0, 0, False), (nan, 0, False), (2.0, 2, False), (2.0, 2, False), (2.5, 2, True)):
        weight.fill_(loss)
        watch.see(loss, {"w": weight})
        assert (watch.best, watch.stopped) == (best, stopped), loss
    watch.restore({"w": weight})
    assert weight.item() == 2.0


def test_a_run_that_overfits_ends_early_and_gives_its_best_point(trainer):
    job = watched()
    (done,), (whole,) = trainer.run([job]), trainer.run([replace(job, patience=None)])
    curve, end = done.curve, whole.curve
    best = min(range(len(POINTS)), key=lambda i: end.validation_loss[i])
    assert best and curve.steps == POINTS[: best + 3] and curve.best_step == POINTS[best] and best + 3 < len(POINTS)
    assert curve.loss == min(end.validation_loss) < end.loss and end.best_step is None
    assert curve.validation_loss == end.validation_loss[: best + 3]
    (cut,) = trainer.run([replace(job, patience=None, until=curve.best_step)])  # the same rates, and no step after it
    assert (curve.test_loss, curve.test_score, curve.test_units) == (
        cut.curve.test_loss,
        cut.curve.test_score,
        cut.curve.test_units,
    )
    assert curve.validation_units and curve.validation_units != whole.curve.validation_units
    assert Curve.from_json(curve.to_json()) == curve and "best_step" not in end.to_json()


def test_a_run_that_gets_better_to_the_end_is_the_same_run(trainer):
    (done,), (whole,) = (trainer.run([replace(watched(SLOW), patience=p)]) for p in (2, None))
    assert done.curve.best_step == 32 and timeless(replace(done.curve, best_step=None)) == timeless(whole.curve)


def test_packed_and_alone_agree(trainer, monkeypatch):
    jobs = [watched(rate) for rate in (RATE, SLOW, 1e30)]
    alone = [trainer.run([job])[0] for job in jobs]
    monkeypatch.setattr(Trainer, "packing_pays", lambda *_: True)
    packed = trainer.run(jobs)
    assert alone[2].curve is packed[2].curve is None
    for one, other in zip(alone[:2], packed):
        assert other.curve.steps == one.curve.steps and other.curve.best_step == one.curve.best_step
        assert other.curve.validation_loss == pytest.approx(one.curve.validation_loss, abs=2e-4)
        assert other.curve.test_loss == pytest.approx(one.curve.test_loss, abs=2e-4)
    assert len({r.curve.steps for r in packed[:2]}) == 2, "one of them went on alone"


def test_nothing_to_train_ends_too(trainer):
    job = Job(Configuration.of("head_only", {}, (), 1e-3), 0, 8, 8, (2, 4, 6, 8), patience=2)
    (done,) = trainer.run([job])
    assert done.curve.best_step in done.curve.steps


def acting(method: str) -> bool:
    return type(get_method(method)).callback is not Method.callback


CASES = [(m, "plain") for m in REGISTRY if acting(m)] + [("full_layers", "plain"), ("lora", "plain")]
CASES += [("lora", p) for p in PROCEDURES if type(get_procedure(p)).callback is not Procedure.callback]


@pytest.mark.parametrize("method, procedure", CASES)
def test_the_best_point_is_found_again_whatever_moved_since(trainer, method, procedure, monkeypatch):
    """Ranks, places of entries and the like go back with the weights."""
    job = Job(configuration(method, RATE, procedure), 3, 9, 9, (2, 5, 7), test=True)
    (cut,) = trainer.run([replace(job, until=5)])
    evaluate, given = Session.evaluate, iter((3.0, 1.0, 2.0, 2.5))

    def ordered(session, part, number, keep=None):
        found = evaluate(session, part, number, keep)
        return [x._replace(loss=next(given)) for x in found] if part == "validation" else found

    monkeypatch.setattr(Session, "evaluate", ordered)
    (done,) = trainer.run([replace(job, patience=5)])
    assert done.curve.best_step == 5 and len(done.curve.steps) == 4
    assert (done.curve.test_loss, done.curve.test_score) == (cut.curve.test_loss, cut.curve.test_score)
