"""A full-length run keeps its quality unit by unit: that is the same as what it reports, for every kind."""

from dataclasses import replace

import numpy as np
import pytest
from kind_cases import configuration, trainer_of
from test_passes import KINDS, ROWS, model_of

from autopeft.proxy.job import Job
from autopeft.proxy.trainer import Trainer
from autopeft.tasks import load_task
from autopeft.tasks.unit_scores import UnitScores

QUICK = ("classification", "regression", "token-classification")  # the others run with -m slow
CASES = [("rotten-tomatoes", "classification"), ("vader-ratings", "regression"), *KINDS]


@pytest.mark.parametrize(
    "data, kind", [pytest.param(*c, marks=[pytest.mark.slow] if c[1] not in QUICK else []) for c in CASES]
)
def test_what_is_kept_is_what_is_reported(data, kind, checkpoint, tmp_path):
    task = load_task(data, task=kind, **ROWS)
    trainer = trainer_of(model_of(task, checkpoint, tmp_path), task, max_length=32)
    job = Job(configuration(), 0, 2, 2, (1,), test=True)
    kept = {}
    for reads in ("score", "loss"):
        (done,) = trainer.run([replace(job, units=reads)])
        curve = done.curve
        reported = {
            "score": (curve.validation_score[-1], curve.test_score),
            "loss": (curve.validation_loss[-1], curve.test_loss),
        }
        for text, value in zip((curve.validation_units, curve.test_units), reported[reads]):
            units = UnitScores.from_text(text)
            if not units.resampled:
                assert units.values.mean() == pytest.approx(value, abs=1e-5)
        kept[reads] = curve
    assert kept["score"].validation_loss == kept["loss"].validation_loss, "keeping them changes nothing"
    (plain,) = trainer.run([job])
    assert plain.curve.test_units is None and plain.curve.validation_loss == kept["score"].validation_loss


def test_packed_runs_keep_their_own(checkpoint, monkeypatch):
    trainer = trainer_of(checkpoint, load_task("rotten-tomatoes", **ROWS), max_length=32)
    monkeypatch.setattr(Trainer, "packing_pays", lambda *_: True)
    jobs = [
        Job(replace(configuration(), learning_rate=rate), 0, 3, 3, test=True, units="score") for rate in (1e-4, 3e-2)
    ]
    curves = [done.curve for done in trainer.run(jobs)]
    assert [np.mean(UnitScores.from_text(c.test_units).values) for c in curves] == pytest.approx(
        [c.test_score for c in curves]
    )
