"""Made-up study results: what a report is drawn from, in every state a study can be in."""

from dataclasses import replace

import numpy as np
from sizes import bert_shapes

from autopeft.configuration import Configuration
from autopeft.importance.scores import LayerScores
from autopeft.proxy.curve import Curve
from autopeft.study.records import Outcome, StudyResult, TrialRecord
from autopeft.study.spec import StudySpec
from autopeft.tasks.unit_scores import UnitScores

ROWS = 1000  # of the test split and of the validation split


def units(score: float) -> str:
    """Right and wrong rows of an accuracy; the same rows are hard for everyone. Of another quality, values around it."""
    if 0 <= score <= 1:
        return UnitScores(1.0 * (np.arange(ROWS) < round(score * ROWS)), False).to_text()
    return UnitScores(score + np.sin(np.arange(ROWS)) - np.sin(np.arange(ROWS)).mean(), False).to_text()


def curve(score: float, seed: int = 0, test: bool = False) -> Curve:
    return Curve(
        seed,
        (10, 20),
        (0.7, 0.6),
        (0.68, 1 - score),
        (0.5, score),
        1.5,
        10**8,
        score - 0.01 if test else None,
        0.6 if test else None,
        units(score) if test else None,
        units(score - 0.01) if test else None,
    )


def lora(rank: int, layers=(0, 1, 2)) -> Configuration:
    return Configuration.of("lora", {"rank": rank, "target_modules": "query+value", "rslora": False}, layers, 1e-3)


def trial(number: int, rank: int, score: float) -> TrialRecord:
    counted = {"parameters": rank * 384}
    return TrialRecord(number, "complete", lora(rank), rank * 384, curve(score), counted=counted)


def outcome(name: str, role: str, rank: int, scores) -> Outcome:
    curves = tuple(curve(s, i, test=True) for i, s in enumerate(scores))
    return Outcome(name, role, lora(rank), rank * 384, curves, {"parameters": rank * 384})


TRACE = LayerScores(
    "trace",
    (0.2, 1.5, 1.3),
    1,
    None,
    {
        "deviation": [1.0, 0.9, 0.6, 0.5],
        "deviation_interval": [[0.95, 1.05], [0.85, 0.95], [0.55, 0.65], [0.45, 0.55]],
        "gain": [0.1, 0.3, 0.1],
        "saving": 0.22,
    },
)
TRIALS = (
    trial(0, 1, 0.6),
    trial(1, 4, 0.7),
    trial(2, 16, 0.75),
    trial(3, 8, 0.65),
    TrialRecord(4, "failed", lora(2), 768, None, "the loss was nan"),
)
OUTCOMES = (
    outcome("uniform LoRA", "baseline", 8, (0.70, 0.71, 0.72)),
    outcome("trial 1", "finalist", 4, (0.73, 0.74, 0.75)),
    outcome("trial 2", "finalist", 16, (0.80, 0.81, 0.82)),
    outcome("full fine-tuning", "ceiling", 64, (0.85, 0.86, 0.87)),
)

WHOLE = StudyResult(
    "runs/x",
    StudySpec(model="m<b>", data="d.csv", budget="50%", full_steps=300).model_dump(),
    {
        "name": "d.csv",
        "classes": ["<script>alert(1)</script>", "b"],
        "metric": "accuracy",
        "train": 5000,
        "validation": ROWS,
        "test": ROWS,
        "notes": ["Removed 3 <duplicates>."],
        "fingerprint": "f",
    },
    bert_shapes(),
    10_000,
    1234,
    TRACE,
    TRIALS,
    OUTCOMES,
    {"versions": {"torch": "2"}, "wall_seconds": 3.0},
    {"parameters": 10_000},
)
STATES = {
    "whole": WHOLE,
    "no finalists yet": replace(WHOLE, outcomes=()),
    "baselines only": replace(WHOLE, outcomes=OUTCOMES[:1]),
    "one point": replace(WHOLE, trials=TRIALS[:1], outcomes=()),
    "nothing finished": replace(WHOLE, trials=TRIALS[4:], outcomes=()),
    "no importance": replace(WHOLE, scores=None),
    "one seed": replace(WHOLE, outcomes=tuple(replace(o, curves=o.curves[:1]) for o in OUTCOMES)),
}
