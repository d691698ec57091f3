"""StudyResult -> front.csv, front.json and trials.csv.

Every objective has a column of its own under its name; one that varies over seeds also has NAME_sd, NAME_low and
NAME_high, and the quality NAME_validation.
"""

import math
from typing import Any

import pandas as pd

from autopeft.base.errors import printable
from autopeft.front import (
    BestWithin,
    Comparison,
    FrontPoint,
    front_of,
    measured_in_full,
    per_budget,
    point_of,
    point_of_trial,
    verdict,
)
from autopeft.front.comparison import margin_of
from autopeft.methods import family
from autopeft.objectives import Counted, Objective, Objectives
from autopeft.study.records import StudyResult

FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "|",
    "%",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)  # what begins so a spreadsheet takes for one
FACTS = ("name", "role", "on_front", "family", "method", "configuration", "trainable", "percent", "head", "seeds")
TRIAL_FACTS = (
    "number",
    "state",
    "family",
    "method",
    "configuration",
    "trainable",
    "steps",
    "seconds",
    "peak_memory_bytes",
)


def front_columns(objectives: Objectives) -> tuple[str, ...]:
    """The columns of front.csv."""
    return (*FACTS, *(column for o in objectives for column in columns_of(o)), f"{objectives.quality.name}_validation")


def columns_of(objective: Objective) -> tuple[str, ...]:
    """The columns of one objective: its mean, and what says how sure that is."""
    name = objective.name
    return (name,) if isinstance(objective, Counted) else (name, f"{name}_sd", f"{name}_low", f"{name}_high")


def trial_columns(objectives: Objectives) -> tuple[str, ...]:
    """The columns of trials.csv."""
    return (*TRIAL_FACTS, *(o.name for o in objectives), "validation_loss", "reason")


def all_points(result: StudyResult) -> list[FrontPoint]:
    """Everything trained at full length; until a finalist is among it, the proxy runs too: the front is theirs."""
    points = [point_of(o, result) for o in result.outcomes if measured_in_full(o, result.objectives)]
    if any(p.role == "finalist" for p in points):
        return points
    return points + [point_of_trial(t, result) for t in result.complete]


def front_rows(result: StudyResult) -> list[dict[str, Any]]:
    """One flat row per point, by parameters."""
    members = {p.name for p in front_of(result).points}
    return [
        {
            "name": p.name,
            "role": p.role,
            "on_front": p.name in members,
            "family": family(p.configuration),
            "method": p.configuration.method,
            "configuration": str(p.configuration),
            "trainable": p.trainable,
            "percent": p.percent,
            "head": result.shapes.head_parameters,
            "seeds": p.seeds,
            **values_of(p, result.objectives),
        }
        for p in sorted(all_points(result), key=lambda p: p.trainable)
    ]


def values_of(point: FrontPoint, objectives: Objectives) -> dict[str, float]:
    """The columns of a point's objectives."""
    row: dict[str, float] = {}
    for objective in objectives:
        interval = point.values[objective.name]
        row |= dict(zip(columns_of(objective), (interval.mean, interval.sd, interval.low, interval.high)))
    return row | {f"{objectives.quality.name}_validation": point.validation}


def trial_rows(result: StudyResult) -> list[dict[str, Any]]:
    """One flat row per trial."""
    return [
        {
            "number": t.number,
            "state": t.state,
            "family": family(t.configuration) if t.configuration else None,
            "method": t.configuration.method if t.configuration else None,
            "configuration": str(t.configuration) if t.configuration else None,
            "trainable": t.trainable,
            "steps": t.curve.steps[-1] if t.curve else None,
            "seconds": t.curve.seconds if t.curve else None,
            "peak_memory_bytes": t.curve.peak_memory_bytes if t.curve else None,
            **{o.name: o.value(t) for o in result.objectives},
            "validation_loss": t.loss,
            "reason": t.reason,
        }
        for t in result.trials
    ]


def result_json(result: StudyResult) -> dict[str, Any]:
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
        "objectives": [{"name": o.name, "direction": o.direction, "unit": o.unit} for o in result.objectives],
        "budget": result.budget,
        "limits": dict(result.limits),
        "backbone_parameters": result.shapes.backbone_parameters,
        "head_parameters": result.shapes.head_parameters,
        "configurations": result.configurations,
        "trials": len(result.complete),
        "stopped": sum(t.state == "pruned" for t in result.trials),
        "racing": result.environment.get("racing"),
        "verdict": said.sentence,
        "judgement": said.judgement,
        "margin": margin_of(result),
        "gains": [comparison_row(gain) for gain in said.gains.values()],
        "lean": [
            {"objective": x.objective.name, "holds_up": x.holds_up, **comparison_row(x.against)} for x in said.lean
        ],
        "per_budget": [budget_row(row, result.objectives) for row in per_budget(result)],
        "best": best.name if best else None,
        "knee": bend.name if bend else None,
        "front": [r for r in rows if r["on_front"]],
        "others": [r for r in rows if not r["on_front"]],
        "environment": result.environment,
        "task": result.task,
        "spec": result.spec,
    }


def budget_row(row: BestWithin, objectives: Objectives) -> dict[str, Any]:
    """The best within a range of budgets as a row."""
    point = row.point
    return {
        "shares": [str(share) for share in row.shares],
        "budgets": list(row.budgets),
        "name": point.name,
        "configuration": point.configuration.to_json(),
        "trainable": point.trainable,
        "percent": point.percent,
        **{name: finite(value) for name, value in values_of(point, objectives).items()},
        "gains": [comparison_row(gain) for gain in row.gains.values()],
    }


def comparison_row(comparison: Comparison) -> dict[str, Any]:
    """A comparison as a flat row."""
    gap = comparison.gap
    return {
        "name": comparison.one,
        "against": comparison.other,
        "gap": gap.mean,
        "low": finite(gap.low),
        "high": finite(gap.high),
        "word": comparison.word,
    }


def intervals_note(result: StudyResult) -> str:
    """What the intervals hold; empty before anything was trained in full."""
    best = front_of(result).best()
    if best is None or not best.seeds:
        return ""
    if not any(curve.test_units for outcome in result.outcomes for curve in outcome.curves):
        return "There are no intervals: a study of release 0.1 did not keep what each test row scored."
    seeds = max(len(outcome.curves) for outcome in result.outcomes)
    if seeds == 1:
        return "There are no intervals: it takes two seeds to see how far they lie apart (--seeds)."
    all_alike = all(len(outcome.curves) == seeds for outcome in result.outcomes)
    return (
        f"Intervals are 95 % over {seeds if all_alike else f'up to {seeds}'} seeds and {result.task['test']:,} test rows "
        "together. Differences are taken on the same rows and seeds, so they are surer than two intervals side by side "
        "look."
    )


def finite(value: Any) -> Any:
    """A number as JSON can hold it: NaN and infinity become null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def csv(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    """The rows under a header that is there even when they are not; a text that a spreadsheet would compute is quoted."""
    quoted = [{k: as_text(v) for k, v in row.items()} for row in rows]
    return pd.DataFrame(quoted, columns=list(columns)).rename(columns=as_text).to_csv(index=False)


def as_text(value: Any) -> Any:
    """A cell of a CSV file: numbers stay numbers, what would be a formula begins with an apostrophe, nothing is two lines."""
    if not isinstance(value, str):
        return value
    return ("'" if value.lstrip().startswith(FORMULA) else "") + printable(value)
