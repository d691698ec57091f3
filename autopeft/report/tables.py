"""StudyResult -> front.csv, front.json and trials.csv. Imports no torch.

front.csv: name, role, on_front, method, configuration, trainable, percent, head, score, sd, low, high, seeds, validation
trials.csv: number, state, method, configuration, trainable, score, loss, seconds, peak_memory_bytes, reason
"""

import math

import pandas as pd

from autopeft.front import FrontPoint, front_of, point_of, point_of_trial, verdict
from autopeft.front.intervals import sampling_error
from autopeft.study.records import StudyResult
from autopeft.tasks.kind import kind_of

FRONT_COLUMNS = (
    *("name", "role", "on_front", "method", "configuration", "trainable", "percent", "head"),
    *("score", "sd", "low", "high", "seeds", "validation"),
)
TRIAL_COLUMNS = (
    *("number", "state", "method", "configuration", "trainable"),
    *("score", "loss", "steps", "seconds", "peak_memory_bytes", "reason"),
)


def all_points(result: StudyResult) -> list[FrontPoint]:
    """Everything trained at full length; until a finalist is among it, the proxy runs too: the front is theirs."""
    points = [point_of(o, result) for o in result.outcomes]
    if any(p.role == "finalist" for p in points):
        return points
    return points + [point_of_trial(t, result) for t in result.complete]


def front_rows(result: StudyResult) -> list[dict]:
    """One flat row per point, by parameters."""
    members = {p.name for p in front_of(result).points}
    return [
        {
            "name": p.name,
            "role": p.role,
            "on_front": p.name in members,
            "method": p.configuration.method,
            "configuration": str(p.configuration),
            "trainable": p.trainable,
            "percent": p.percent,
            "head": result.shapes.head_parameters,
            "score": p.score.mean,
            "sd": p.score.sd,
            "low": p.score.low,
            "high": p.score.high,
            "seeds": p.seeds,
            "validation": p.validation,
        }
        for p in sorted(all_points(result), key=lambda p: p.trainable)
    ]


def trial_rows(result: StudyResult) -> list[dict]:
    """One flat row per trial."""
    return [
        {
            "number": t.number,
            "state": t.state,
            "method": t.configuration.method if t.configuration else None,
            "configuration": str(t.configuration) if t.configuration else None,
            "trainable": t.trainable,
            "score": t.score,
            "loss": t.loss,
            "steps": t.curve.steps[-1] if t.curve else None,
            "seconds": t.curve.seconds if t.curve else None,
            "peak_memory_bytes": t.curve.peak_memory_bytes if t.curve else None,
            "reason": t.reason,
        }
        for t in result.trials
    ]


def result_json(result: StudyResult) -> dict:
    """The front, the chosen configuration and the verdict for scripts; NaN becomes null."""
    front, said = front_of(result), verdict(result)
    configurations = {p.name: p.configuration.to_json() for p in all_points(result)}
    rows = [
        {**{k: finite(v) for k, v in r.items()}, "configuration": configurations[r["name"]]} for r in front_rows(result)
    ]
    best, bend = front.best(), front.knee
    return {
        "folder": result.folder,
        "metric": result.task["metric"],
        "measured": front.measured,
        "budget": result.budget,
        "backbone_parameters": result.shapes.backbone_parameters,
        "head_parameters": result.shapes.head_parameters,
        "configurations": result.configurations,
        "trials": len(result.complete),
        "stopped": sum(t.state == "pruned" for t in result.trials),
        "verdict": said.sentence,
        "judgement": said.judgement,
        "best": best.name if best else None,
        "knee": bend.name if bend else None,
        "front": [r for r in rows if r["on_front"]],
        "others": [r for r in rows if not r["on_front"]],
        "environment": result.environment,
        "task": result.task,
        "spec": result.spec,
    }


def sampling_note(result: StudyResult) -> str:
    """What the intervals leave out: the noise of the test rows themselves; empty for other metrics than rows' accuracy."""
    best, kind = front_of(result).best(), kind_of(result.task)
    if result.task["metric"] != "accuracy" or not kind.row_level or best is None or not best.seeds:
        return ""
    error = sampling_error(best.score.mean, result.task["test"])
    return (
        f"Intervals are over seeds; {result.task['test']:,} test rows add a standard error of {error:.3f} that all "
        "points share."
    )


def finite(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value


def csv(rows: list[dict], columns: tuple[str, ...]) -> str:
    """The rows under a header that is there even when they are not."""
    return pd.DataFrame(rows, columns=list(columns)).to_csv(index=False)
