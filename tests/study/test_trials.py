"""The Optuna side: resume, failures, budget; the training is a function of the configuration, so runs can be compared."""

import optuna
import pytest
from sizes import bert_shapes

from autopeft.configuration import Configuration
from autopeft.errors import AutopeftError
from autopeft.methods import count
from autopeft.proxy.curve import Curve
from autopeft.space import build_space, load_space
from autopeft.study.folder import StudyFolder
from autopeft.study.sampler import SAMPLERS
from autopeft.study.spec import StudySpec
from autopeft.study.trials import ended, open_study, records, run_trials

SHAPES = bert_shapes(layers=4)
BUDGET = 1500


def measured(configuration: Configuration) -> Curve:
    """A score that more layers and a middling learning rate raise."""
    score = 0.5 + 0.05 * len(configuration.layers) - abs(configuration.learning_rate - 3e-3)
    return Curve(0, (1,), (1.0,), (1 - score,), (score,), 0.1, 1)


def start(tmp_path, **fields):
    folder = StudyFolder(tmp_path / "study")
    folder.create()
    spec = StudySpec(**{"trials": 12, "space": "default", **fields})
    return open_study(folder, spec), build_space("default", load_space("default"), SHAPES, BUDGET), spec


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_ask_is_wasted_on_the_budget(tmp_path, sampler):
    study, space, spec = start(tmp_path, sampler=sampler, trials=24)
    run_trials(study, space, spec, measured, lambda *_: None)
    found = records(study)
    assert [t.state for t in found] == ["complete"] * 24
    assert all(t.trainable == count(t.configuration, SHAPES) <= BUDGET for t in found)


def test_every_method_is_tried_before_any_is_tried_twice(tmp_path):
    study, space, spec = start(tmp_path, trials=len(space_names()))
    run_trials(study, space, spec, measured, lambda *_: None)
    tried = [t.configuration.method for t in records(study)]
    assert sorted(tried) == sorted({b.name for b in space.affordable()})


def space_names():
    return build_space("default", load_space("default"), SHAPES, BUDGET).affordable()


def test_optuna_reads_the_study(tmp_path):
    study, space, spec = start(tmp_path)
    run_trials(study, space, spec, measured, lambda *_: None)
    frame = study.trials_dataframe()
    assert {"params_method", "params_frozen_layers", "params_lora.rank", "params_lora.learning_rate"} <= set(
        frame.columns
    )
    assert len(study.best_trials) >= 1
    assert optuna.visualization.plot_pareto_front(study).data


class Killed(BaseException):
    """Stands for a signal: nothing between here and the top may catch it as a failed trial."""


@pytest.mark.parametrize("after", [0, 3, 7])
def test_an_interrupted_study_goes_on_as_if_nothing_had_happened(tmp_path, after):
    study, space, spec = start(tmp_path / "whole")
    run_trials(study, space, spec, measured, lambda *_: None)
    whole = [t.configuration for t in records(study)]

    study, space, spec = start(tmp_path / "parts")
    calls = []

    def dies(configuration):
        calls.append(configuration)
        if len(calls) == after + 1:
            raise Killed
        return measured(configuration)

    with pytest.raises(Killed):
        run_trials(study, space, spec, dies, lambda *_: None)
    study, space, spec = start(tmp_path / "parts")
    run_trials(study, space, spec, measured, lambda *_: None)
    complete = [t.configuration for t in records(study) if t.state == "complete"]
    assert complete == whole


def test_a_trial_left_running_by_a_kill_is_asked_again_first(tmp_path):
    study, space, spec = start(tmp_path, trials=3)
    run_trials(study, space, spec, measured, lambda *_: None)
    lost = study.ask()
    lost.suggest_categorical("method", tuple(b.name for b in space.branches))
    study, space, spec = start(tmp_path, trials=4)
    run_trials(study, space, spec, measured, lambda *_: None)
    last = [t for t in records(study) if t.state == "complete"][-1]
    assert last.configuration.method == lost.params["method"]
    assert len(ended(study)) == 4


def test_a_diverging_trial_is_recorded_and_the_study_goes_on(tmp_path):
    study, space, spec = start(tmp_path, trials=5)

    def sometimes(configuration):
        if configuration.method == "lora":
            raise ArithmeticError("the loss was nan at step 3 of 40")
        return measured(configuration)

    run_trials(study, space, spec, sometimes, lambda *_: None)
    assert len(ended(study)) == 5
    for trial in records(study):
        if trial.configuration.method == "lora":
            assert trial.state == "failed" and "nan at step 3" in trial.reason


def test_the_linear_probe_is_asked_for_once(tmp_path):
    study, space, spec = start(tmp_path, trials=30)
    run_trials(study, space, spec, measured, lambda *_: None)
    assert sum(t.configuration.method == "head_only" for t in records(study)) == 1


def test_a_storage_that_cannot_be_opened_is_one_sentence(tmp_path):
    with pytest.raises(AutopeftError, match="storage 'nonsense://x' cannot be opened"):
        start(tmp_path, storage="nonsense://x")


def test_an_sql_storage_serves_as_well(tmp_path):
    study, space, spec = start(tmp_path, storage=f"sqlite:///{tmp_path}/study.db", trials=3)
    run_trials(study, space, spec, measured, lambda *_: None)
    assert len(records(study)) == 3
