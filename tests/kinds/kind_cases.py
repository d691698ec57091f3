"""What every kind of task has to hold, on a tiny BERT of random weights with the real tokenizer and real data."""

from dataclasses import replace

import autopeft
from autopeft.backbone.loading import load_backbone
from autopeft.backbone.prefix import PrefixCache
from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.proxy.job import Job
from autopeft.proxy.trainer import Trainer
from autopeft.tasks.tokens import tokenise

SEARCH = {
    "max_length": 32,
    "full_steps": 4,
    "cohort": 2,
    "batch_size": 4,
    "seeds": 1,
    "finalists": 1,
    "trials": 2,
    "precision": "fp32",
    "workers": 1,
    "packing": False,
    "ceiling": False,
}


def trainer_of(checkpoint, task, batch_size: int = 4, prefix=None, max_length: int = 48) -> Trainer:
    backbone = load_backbone(str(checkpoint), task.outputs, kind=task.kind)
    return Trainer(backbone, tokenise(task, backbone.tokenizer, max_length), batch_size, prefix=prefix)


def configuration(method: str = "lora", layers=(1, 2), rate: float = 1e-2) -> Configuration:
    layers = () if get_method(method).layers == "none" else layers
    return Configuration.of(method, get_method(method).defaults, layers, rate)


def check_training(trainer: Trainer, folder, monkeypatch) -> None:
    """Resumed as in one piece and with stored hidden states as without, bit for bit; packed within rounding."""
    for method in ("lora", "head_only"):
        job = Job(configuration(method), 3, 6, 6, (2,), rows=6, test=True, keep_state=True)
        (whole,) = trainer.run([job])
        assert not whole.failure
        (begun,) = trainer.run([replace(job, until=2, evaluation_steps=(), test=False)])
        (rest,) = trainer.run([replace(job, state=begun.state)])
        assert rest.state == whole.state and rest.curve.test_loss == whole.curve.test_loss
        cache = PrefixCache(trainer.backbone, trainer.tokenised, 10**8, folder)
        stored = Trainer(trainer.backbone, trainer.tokenised, trainer.batch_size, prefix=cache)
        for _ in range(2):
            (read,) = stored.run([job])
            assert read.state == whole.state and read.curve.test_score == whole.curve.test_score
        assert cache.read_rows > 0
    jobs = [Job(configuration(rate=rate), 0, 3, 3, (2,), rows=6) for rate in (1e-3, 1e-2)]
    alone = [trainer.run([job])[0].curve.validation_loss[-1] for job in jobs]
    monkeypatch.setattr(Trainer, "packing_pays", lambda *_: True)
    packed = [done.curve.validation_loss[-1] for done in trainer.run(jobs)]
    assert all(abs(a - b) < 2e-4 for a, b in zip(alone, packed))


def check_learning(trainer: Trainer) -> None:
    """A few rows are learnt by heart."""
    (done,) = trainer.run([Job(configuration("full_layers", (0, 1, 2), 3e-3), 0, 60, 60, (10,))])
    assert done.curve.train_loss[-1] < 0.9 * done.curve.train_loss[0]


def check_search(checkpoint, folder, **spec) -> dict:
    """A search of two trials with its baselines, the report, the chosen adapter trained and scored; its card."""
    study = autopeft.StudySpec.read(model=str(checkpoint), **{**SEARCH, **spec})
    result = autopeft.search(study, folder)
    outcomes = {o.name: o for o in result.data.outcomes}
    assert {"linear probe", "uniform LoRA"} <= set(outcomes)
    assert all(score == score for o in outcomes.values() for score in o.test_scores)
    assert (folder / "report.html").is_file()
    trained = autopeft.train(str(folder), steps=2, out=str(folder / "adapter"))
    assert trained.test_score == trained.test_score
    return {"scores": trained, "card": (folder / "adapter" / "README.md").read_text(encoding="utf-8")}


def falls(task, max_length: int = 24) -> tuple[float, float]:
    """(first, last) validation loss of thirty steps that train the upper blocks of MiniLM-L6."""
    trainer = trainer_of("minilm-l6", task, 8, max_length=max_length)
    job = Job(configuration("full_layers", range(3, 6), 3e-4), 0, 30, 30, (1,))
    (done,) = trainer.run([job])
    return done.curve.validation_loss[0], done.curve.validation_loss[-1]
