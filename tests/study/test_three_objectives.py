"""A study of three objectives, one of them measured: what Optuna is told, what is promoted, what a kill leaves."""

import contextlib
from dataclasses import replace
from math import log10

import numpy as np
import pytest
from made_up_executor import called
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sizes import bert_shapes

from autopeft.base.pareto import non_dominated
from autopeft.configuration import Configuration
from autopeft.costs.memory import train_memory
from autopeft.costs.step import Step
from autopeft.executor.order import answer
from autopeft.objectives import Limits, Objectives, Setting
from autopeft.objectives.limits import parse_limit
from autopeft.proxy.curve import Curve
from autopeft.proxy.job import JobResult
from autopeft.space import build_space, load_space
from autopeft.study.finalists import finalists
from autopeft.study.folder import StudyFolder
from autopeft.study.halving import Halving
from autopeft.study.optuna_study import open_study
from autopeft.study.promotion import promoted
from autopeft.study.records import TrialRecord
from autopeft.study.rungs import rungs_of
from autopeft.study.spec import StudySpec
from autopeft.study.stored import records
from autopeft.study.trials import Trials
from autopeft.uniform_lora import uniform_lora

SHAPES = replace(bert_shapes(layers=4), num_heads=4, vocab_size=100)
SETTING = Setting(SHAPES, Step(8, 16), uniform_lora(SHAPES, None))
LIMITS = Limits((parse_limit("train-flops=1x", SETTING),), SETTING)
NAMES = ("train-memory", "step-time", "accuracy")
OBJECTIVES = Objectives.of(",".join(NAMES), "accuracy")


class Killed(BaseException):
    """Stands for a signal."""


def seconds(configuration: Configuration) -> float:
    return 0.5 + 0.125 * len(configuration.layers)


def score(configuration: Configuration) -> float:
    return 0.5 + 0.05 * len(configuration.layers) - abs(configuration.learning_rate - 3e-3)


def search(folder, die_at=None, timed=seconds, **fields):
    """The records after a search, killed where training number `die_at` would begin; and the Optuna study."""
    files = StudyFolder(folder)
    files.create()
    spec = StudySpec(
        **{
            "trials": 12,
            "full_steps": 300,
            "space": "default",
            "rungs": "none",
            "cohort": 4,
            "objectives": ",".join(NAMES),
        }
    )
    spec = spec.model_copy(update=fields)
    study, calls = open_study(files, spec, OBJECTIVES), []

    def train(order):
        job = order.with_state()
        calls.append(job)
        if len(calls) == die_at:
            raise Killed
        assert job.measure == (("step-time",) if job.state is None else ()), "measured once, as the run begins"
        value = score(job.configuration)
        measured = {n: timed(job.configuration) for n in job.measure if timed(job.configuration) is not None}
        curve = Curve(0, (job.until,), (1.0,), (1 - value,), (value,), 0.1, 1, measured=measured)
        return answer(order, JobResult(curve, b"state" if job.keep_state else None))

    halving = Halving(study, OBJECTIVES, rungs_of(spec.rungs, spec.full_steps, 90), spec, files)
    space = build_space("default", load_space("default"), SHAPES, LIMITS)
    with contextlib.suppress(Killed):
        Trials(halving, called(train), space, LIMITS).run(lambda *_: None)
    return records(study), study


def test_optuna_has_the_directions_and_is_told_every_value(tmp_path):
    found, study = search(tmp_path / "study")
    assert study.directions == [StudyDirection.MINIMIZE, StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE]
    assert len(found) == 12 and {t.state for t in found} == {"complete"}
    for stored, told in zip(found, study.get_trials(deepcopy=False)):
        memory = train_memory(stored.configuration, SHAPES, SETTING.step)
        values = {"train-memory": memory, "step-time": seconds(stored.configuration)}
        values["accuracy"] = score(stored.configuration)
        assert OBJECTIVES.values(stored) == pytest.approx(values)
        assert told.values == pytest.approx([log10(memory), values["step-time"], values["accuracy"]])
        assert stored.counted.keys() == {"train-memory", "train-flops"} and LIMITS.meet(stored.configuration)


@pytest.mark.parametrize("rungs", ["none", "1/8,1/2"])
@pytest.mark.parametrize("after", [1, 4, 9])
def test_a_killed_study_goes_on_as_if_nothing_had_happened(tmp_path, after, rungs):
    whole, _ = search(tmp_path / "whole", rungs=rungs)
    search(tmp_path / "parts", die_at=after, rungs=rungs)
    resumed, _ = search(tmp_path / "parts", rungs=rungs)
    assert [(t.configuration, t.state, t.curve, t.counted) for t in resumed] == [
        (t.configuration, t.state, t.curve, t.counted) for t in whole
    ]


def test_rungs_keep_what_was_measured_and_the_front_of_all_three(tmp_path):
    found, _ = search(tmp_path / "study", rungs="1/8,1/2", trials=18, cohort=9)
    assert {t.state for t in found} == {"complete", "pruned"}
    assert all(t.curve.measured == {"step-time": seconds(t.configuration)} for t in found)
    front = non_dominated([OBJECTIVES.rung_costs(t, -1) for t in found])
    assert all(t.state == "complete" for t, kept in zip(found, front) if kept)


def test_a_trial_that_could_not_be_measured_has_failed_and_the_study_goes_on(tmp_path):
    found, study = search(tmp_path / "study", timed=lambda c: None if c.method == "lora" else seconds(c))
    assert len(found) == 12
    for trial, told in zip(found, study.get_trials(deepcopy=False)):
        lost = trial.configuration.method == "lora"
        assert told.state == (TrialState.FAIL if lost else TrialState.COMPLETE)
        assert not lost or trial.reason == "an objective could not be measured"


def test_promotion_goes_by_rank_in_three_dimensions_then_by_the_quality():
    corners = [[0, 5, 0.9], [5, 0, 0.8], [9, 9, 0.1]]
    beaten = [[1, 6, 0.95], [6, 1, 0.85]]
    assert promoted(corners + beaten, range(5), 3) == [2, 1, 0]
    assert promoted(corners + beaten, range(5), 2) == [2, 1, 0], "three of five are enough"
    assert promoted(corners + beaten, [3, 4], 2) == [4], "of equal rank the better quality goes on"
    assert promoted([[0, np.nan, 0.1], *corners], range(4), 3) == [3, 2, 1]


def timed_trial(number: int, memory: float, time: float, loss: float, state: str = "complete") -> TrialRecord:
    curve = Curve(0, (1,), (1.0,), (loss,), (1 - loss,), 0.1, 1, measured={"step-time": time})
    configuration = Configuration.of("lora", {"rank": 2}, (number % 4,), 1e-3)
    return TrialRecord(number, state, configuration, number, curve, counted={"train-memory": memory})


def test_finalists_are_the_front_of_three_and_the_best_in_each_stay_when_it_is_too_large():
    trials = [
        timed_trial(0, 1e6, 2.0, 0.9),  # least memory
        timed_trial(1, 1e9, 0.5, 0.8),  # least time
        timed_trial(2, 1e9, 2.0, 0.1),  # best
        timed_trial(3, 1e8, 1.5, 0.5),
        timed_trial(4, 1e9, 2.1, 0.9),  # dominated
        timed_trial(5, 1e5, 0.1, 0.01, "pruned"),
    ]
    assert [t.number for t in finalists(trials, OBJECTIVES, 9)] == [0, 1, 2, 3]
    assert [t.number for t in finalists(trials, OBJECTIVES, 3)] == [0, 1, 2]
    assert [t.number for t in finalists(trials, OBJECTIVES, 1)] == [2]
    assert finalists([replace(t, counted={}) for t in trials], OBJECTIVES, 3) == []
