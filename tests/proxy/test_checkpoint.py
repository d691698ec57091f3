"""A job that is killed goes on from its last checkpoint and gives, bit for bit, what it would have given."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from autopeft.backbone.loading import load_backbone
from autopeft.base.artefacts import Artefacts
from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.procedures import get_procedure
from autopeft.proxy import checkpoint
from autopeft.proxy.checkpoint import Checkpoints
from autopeft.proxy.job import Job
from autopeft.proxy.session import Session
from autopeft.proxy.trainer import Trainer
from autopeft.tasks import load_task
from autopeft.tasks.tokens import tokenise

STEPS = 12


class Killed(BaseException):
    """In place of a signal."""


@pytest.fixture(scope="module")
def trainer():
    backbone = load_backbone("minilm-l6", 2)
    task = load_task("rotten-tomatoes", train_rows=16, validation_rows=32, test_rows=16)
    return Trainer(backbone, tokenise(task, backbone.tokenizer, 24), 8, head_learning_rate=5e-5)


@pytest.fixture
def kept(trainer, tmp_path, monkeypatch):
    """Checkpoints after every step."""
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 0)
    monkeypatch.setattr(trainer, "checkpoints", Checkpoints(Artefacts(str(tmp_path / "states"))))
    return trainer.checkpoints


def job(method="lora", procedure="plain", **fields) -> Job:
    settings = {**get_method(method).defaults, **({"refresh": 2} if method == "lift" else {})}
    layers = range(6) if get_method(method).layers == "all" else (4, 5)
    made = Configuration.of(method, settings, layers, 2e-3, procedure, get_procedure(procedure).defaults)
    return Job(made, 0, STEPS, STEPS, (3, 6, 9), **{"test": True, "units": "score", **fields})


def killed_after(monkeypatch, steps):
    """Training ends with an exception once so many more steps are done."""
    done, real = [], Session.forward_backward

    def step(self, *arguments):
        if len(done) == steps:
            raise Killed
        done.append(arguments)
        return real(self, *arguments)

    monkeypatch.setattr(Session, "forward_backward", step)
    return done


def timeless(result):
    return replace(result, curve=replace(result.curve, seconds=0, peak_memory_bytes=0))


@pytest.mark.parametrize(
    "asked",
    [
        job(),
        job(patience=1),
        job("adalora", keep_state=True),
        job("lift"),
        job("spiel", patience=2),
        job(procedure="lisa"),
        job(procedure="pace"),
    ],
    ids=lambda asked: f"{asked.configuration.method}-{asked.configuration.procedure}-{asked.patience}",
)
def test_killed_again_and_again_it_gives_what_one_piece_gives(trainer, kept, monkeypatch, asked):
    """Four kills in a row made no progress."""
    with monkeypatch.context() as undisturbed:
        undisturbed.setattr(trainer, "checkpoints", None)
        (whole,) = trainer.run([asked])
    repeated = 0
    for _ in range(STEPS):
        with monkeypatch.context() as patch:
            done = killed_after(patch, 5)
            try:
                (result,) = trainer.run([asked])
                break
            except Killed:
                repeated += len(done)
    assert timeless(result) == timeless(whole) and repeated <= STEPS


def test_a_kill_while_the_test_split_is_scored_trains_nothing_again(trainer, kept, monkeypatch):
    """Nor does a run whose patience is spent go on."""
    for asked in (job(), job(patience=1)):
        (whole,) = trainer.run([asked])
        kept.of(asked).drop()
        real = Session.evaluate

        def evaluate(self, part, *rest, real=real):
            if part == "test":
                raise Killed
            return real(self, part, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(Session, "evaluate", evaluate)
            with pytest.raises(Killed):
                trainer.run([asked])
        with monkeypatch.context() as patch:
            killed_after(patch, 0)
            (result,) = trainer.run([asked])
        assert timeless(result) == timeless(whole)


@pytest.mark.parametrize("place", [0, 40, -1])
def test_a_damaged_checkpoint_is_said_and_not_used(trainer, kept, monkeypatch, caplog, place):
    with monkeypatch.context() as patch:
        killed_after(patch, 5)
        with pytest.raises(Killed):
            trainer.run([job()])
    path = Path(kept.of(job()).path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING, "autopeft"):
        (result,) = trainer.run([job()])
    assert caplog.messages == [f"{path} is damaged: its job is trained again from the beginning."]
    (again,) = trainer.run([job()])
    assert timeless(result).curve.validation_loss == timeless(again).curve.validation_loss


def test_jobs_that_differ_have_files_of_their_own(kept):
    asked = [job(), replace(job(), seed=1), replace(job(), until=6), replace(job(), state=b"x")]
    assert len({kept.of(x).path for x in asked}) == len(asked)


def test_a_quick_job_writes_nothing(trainer, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY", 600.0)  # a busy machine is not quick
    monkeypatch.setattr(trainer, "checkpoints", Checkpoints(Artefacts(str(tmp_path / "states"))))
    trainer.run([job()])
    assert not (tmp_path / "states").exists()


def test_what_has_ended_of_a_pack_is_not_trained_again(trainer, tmp_path, monkeypatch):
    """Three rates of one configuration were a pack, and a kill during the third cost all of them, however short each was."""
    monkeypatch.setattr(trainer, "checkpoints", Checkpoints(Artefacts(str(tmp_path / "states"))))
    monkeypatch.setattr(trainer, "packing_pays", lambda jobs: False)
    first = job()
    jobs = [replace(first, configuration=replace(first.configuration, learning_rate=rate)) for rate in (1e-3, 2e-3)]
    whole = list(map(timeless, trainer.run(jobs)))
    for file in (tmp_path / "states").iterdir():
        file.unlink()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, STEPS + 2)
        trainer.run(jobs)
    with monkeypatch.context() as patch:
        done = killed_after(patch, 2 * STEPS)
        assert list(map(timeless, trainer.run(jobs))) == whole and len(done) == STEPS
