"""Front, verdict and report of three objectives, and of a quality that is minimised."""

import csv
import json
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from made_up import OUTCOMES, TRIALS, WHOLE
from rich.console import Console

from autopeft.front import front_of, verdict
from autopeft.report.figures import hypervolume_over_trials, parallel, pareto
from autopeft.report.files import write_report
from autopeft.report.page import page
from autopeft.report.tables import front_columns, result_json, trial_columns
from autopeft.report.terminal import print_front
from autopeft.tasks.unit_scores import UnitScores

COUNTED = {"parameters": 3000.0, "train-memory": 2e9}


def timed(curve, time: float):
    return replace(curve, measured={"step-time": time})


def three():
    """A finalist that is quick, one that is good, and a baseline that is worse than both."""
    memory, time = (3e9, 1e9, 2e9, 9e9), (1.0, 1.2, 0.7, 2.0)
    outcomes = tuple(
        replace(o, curves=tuple(timed(c, t + 0.01 * c.seed) for c in o.curves), counted={"train-memory": m})
        for o, m, t in zip(OUTCOMES, memory, time)
    )
    trials = tuple(
        replace(t, counted={"train-memory": 1e9 * (1 + t.number)}, curve=t.curve and timed(t.curve, 1 + t.number))
        for t in TRIALS
    )
    spec = {**WHOLE.spec, "objectives": "step-time,train-memory,accuracy"}
    return replace(WHOLE, spec=spec, outcomes=outcomes, trials=trials, limits={"train-memory": 4e9})


def around(loss: float) -> str:
    """The losses of a thousand rows."""
    spread = np.sin(np.arange(1000))
    return UnitScores(loss * (1 + spread - spread.mean()), False).to_text()


def by_loss(*losses: float):
    """The loss as the quality: uniform LoRA, then two finalists."""
    outcomes = tuple(
        replace(
            o,
            curves=tuple(
                replace(
                    c,
                    validation_loss=(0.9, x + 0.001 * c.seed),
                    test_loss=x + 0.001 * c.seed,
                    validation_units=around(x + 0.001 * c.seed),
                    test_units=around(x + 0.001 * c.seed),
                )
                for c in o.curves
            ),
        )
        for o, x in zip(OUTCOMES, losses)
    )
    return replace(WHOLE, spec={**WHOLE.spec, "objectives": "parameters,loss"}, outcomes=outcomes)


def test_the_front_of_three_holds_the_best_in_each():
    result = three()
    front = front_of(result)
    assert {p.name for p in front.points} == {"trial 1", "trial 2"}
    assert front.best().name == "trial 2" and front.knee in front.points
    assert front.points[0].values.keys() == {"step-time", "train-memory", "accuracy"}
    said = verdict(result)
    assert said.judgement == "better" and [(x.objective.name, x.point.name) for x in said.lean] == [
        ("step-time", "trial 2"),
        ("train-memory", "trial 1"),
    ]


def test_a_limit_keeps_a_point_off_the_front_of_three():
    tight = replace(three(), limits={"train-memory": 1.5e9})
    assert [p.name for p in front_of(tight).points] == ["trial 1"]


def test_tables_of_three_have_a_column_per_objective(tmp_path):
    result = three()
    columns = front_columns(result.objectives)
    assert {"step-time", "step-time_sd", "train-memory", "accuracy", "accuracy_low", "accuracy_validation"} <= set(
        columns
    )
    assert "train-memory_sd" not in columns and "step-time" in trial_columns(result.objectives)
    paths = write_report(result, tmp_path)
    rows = {r["name"]: r for r in csv.DictReader(paths["front.csv"].open())}
    assert float(rows["trial 1"]["train-memory"]) == 1e9 and float(rows["trial 1"]["step-time"]) == pytest.approx(1.21)
    trials = list(csv.DictReader(paths["trials.csv"].open()))
    assert [float(t["step-time"]) for t in trials[:4]] == [1, 2, 3, 4] and trials[4]["step-time"] == ""
    told = json.loads(json.dumps(result_json(result), allow_nan=False))
    assert [(o["name"], o["direction"]) for o in told["objectives"]] == [
        ("step-time", "minimize"),
        ("train-memory", "minimize"),
        ("accuracy", "maximize"),
    ]
    assert told["limits"] == {"train-memory": 4e9} and {r["name"] for r in told["front"]} == {"trial 1", "trial 2"}


def test_the_page_of_three_has_every_pair_and_all_side_by_side():
    result = three()
    text = page(result)
    assert all(f'id="{name}"' in text for name in ("pareto", "pareto1", "parallel", "hypervolume", "methods"))
    assert "at most 4 GB (train-memory)" in text
    axes = [pareto(result, o).layout.xaxis for o in result.objectives.others]
    assert [a.type for a in axes] == ["linear", "log"] and "memory" in axes[1].title.text
    assert [d.label for d in parallel(result).data[0].dimensions] == ["step-time", "log10(train-memory)", "accuracy"]
    volumes = hypervolume_over_trials(result).data[0].y
    assert list(volumes) == sorted(volumes) and volumes[-1] > 0


def test_the_terminal_shows_three_with_their_units():
    out = StringIO()
    print_front(three(), Console(file=out))
    text = out.getvalue()
    assert "accuracy against step-time, train-memory" in text and "1 GB" in text and "1.210x" in text


@pytest.mark.parametrize(
    "losses, best, said",
    [
        ((0.5, 0.4, 0.3), "trial 2", "better"),
        ((0.3, 0.4, 0.5), "uniform LoRA", None),
        ((0.5, 0.3, 0.4), "trial 1", "better"),
    ],
)
def test_the_lower_loss_is_the_better(losses, best, said):
    result = by_loss(*losses, 0.2)
    found = verdict(result)
    assert (found.best.name, found.judgement) == (best, said) and "test loss of" in found.sentence
    assert "points" not in found.sentence, "a loss is no share"
    front = front_of(result)
    assert front.best_first()[0].score.mean == min(p.score.mean for p in front.points)
    assert all(p.score.mean == pytest.approx(losses[i] + 0.001) for p in front.points for i in [index(p.name)])


def index(name: str) -> int:
    return [o.name for o in OUTCOMES].index(name)


def test_a_loss_is_reported_everywhere(tmp_path):
    result = by_loss(0.5, 0.4, 0.3, 0.2)
    paths = write_report(result, tmp_path)
    header = paths["front.csv"].read_text().splitlines()[0].split(",")
    assert {"loss", "loss_sd", "loss_validation"} <= set(header) and "accuracy" not in header
    told = json.loads(json.dumps(result_json(result), allow_nan=False))
    assert told["objectives"][-1]["direction"] == "minimize" and told["best"] == "trial 2"
    out = StringIO()
    print_front(result, Console(file=out))
    assert "loss against parameters" in out.getvalue() and "0.3010" in out.getvalue()
    assert pareto(result).layout.yaxis.title.text == "loss"


def test_trials_of_three_stand_in_before_there_are_finalists(tmp_path):
    early = replace(three(), outcomes=())
    assert front_of(early).measured.startswith("validation") and front_of(early).points
    write_report(early, tmp_path)
