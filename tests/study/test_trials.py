"""The Optuna side: resume, failures, budget; the training is a function of the configuration, so runs can be compared."""

import contextlib
from dataclasses import replace

import numpy as np
import optuna
import pytest
from made_up_executor import called, simulated
from sizes import bert_shapes

from autopeft.base.artefacts import Artefacts
from autopeft.base.errors import AutopeftError
from autopeft.base.pareto import non_dominated
from autopeft.configuration import Configuration
from autopeft.executor.order import Answer, answer
from autopeft.executor.stored import Stored
from autopeft.methods import count
from autopeft.objectives import Limits, Objectives
from autopeft.proxy.curve import Curve
from autopeft.proxy.job import JobResult
from autopeft.space import SpaceFile, build_space, load_space
from autopeft.space.portfolio import first_configurations, portfolio
from autopeft.study.candidates import parts
from autopeft.study.folder import StudyFolder
from autopeft.study.halving import Halving
from autopeft.study.journal import WholeLineJournal
from autopeft.study.optuna_study import open_study
from autopeft.study.proposals import Proposals
from autopeft.study.rungs import rungs_of
from autopeft.study.sampler import SAMPLERS
from autopeft.study.spec import StudySpec
from autopeft.study.stored import ended, records
from autopeft.study.trials import Trials, finished_methods

SHAPES = bert_shapes(layers=4)
BUDGET = 1500
LIMITS = Limits.of_budget(SHAPES, BUDGET)
OBJECTIVES = Objectives.of("parameters,metric", "accuracy")


def measured(configuration: Configuration) -> Curve:
    """A score that more layers and a middling learning rate raise."""
    score = 0.5 + 0.05 * len(configuration.layers) - abs(configuration.learning_rate - 3e-3)
    return Curve(0, (1,), (1.0,), (1 - score,), (score,), 0.1, 1)


def start(tmp_path, **fields):
    folder = StudyFolder(tmp_path / "study")
    folder.create()
    spec = StudySpec(**{"trials": 12, "full_steps": 300, "space": "default", "rungs": "none", "cohort": 4, **fields})
    study = open_study(folder, spec, OBJECTIVES)
    return study, build_space(spec.space, load_space(spec.space), SHAPES, LIMITS), (spec, folder)


def run_trials(study, space, spec_and_folder, measure, report, made=called):
    """The trials with a measurement in place of the training; a job's state is the steps it has been trained for."""
    spec, folder = spec_and_folder

    def train(order):
        job = order.with_state()
        begun = int(job.state or 0)
        assert begun < job.until
        try:
            curve = measure(job.configuration)
        except ArithmeticError as error:
            return Answer(None, failure=str(error))
        curve = replace(curve, steps=(job.until,), seconds=job.until - begun)
        return answer(order, JobResult(curve, str(job.until).encode() if job.keep_state else None))

    halving = Halving(study, OBJECTIVES, rungs_of(spec.rungs, spec.full_steps, 90), spec, folder)
    workers = made(train)
    Trials(halving, workers, space, LIMITS).run(report)
    return workers


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_ask_is_wasted_on_the_budget(tmp_path, sampler):
    study, space, spec = start(tmp_path, sampler=sampler, trials=24)
    run_trials(study, space, spec, measured, lambda *_: None)
    found = records(study)
    assert [t.state for t in found] == ["complete"] * 24
    assert all(t.trainable == count(t.configuration, SHAPES) <= BUDGET for t in found)


def test_every_method_is_tried_before_any_is_tried_twice(tmp_path):
    study, space, spec = start(tmp_path, portfolio=False, sampler="tpe", trials=len(space_names()))
    run_trials(study, space, spec, measured, lambda *_: None)
    tried = [t.configuration.method for t in records(study)]
    assert sorted(tried) == sorted({b.name for b in space.affordable()})


def space_names():
    return build_space("default", load_space("default"), SHAPES, LIMITS).affordable()


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


@pytest.mark.parametrize("rungs", ["none", "1/8,1/2"])
@pytest.mark.parametrize("after", [0, 3, 7, 12])
def test_an_interrupted_study_goes_on_as_if_nothing_had_happened(tmp_path, after, rungs):
    study, space, spec = start(tmp_path / "whole", rungs=rungs)
    run_trials(study, space, spec, measured, lambda *_: None)
    whole = [(t.configuration, t.state, t.curve) for t in records(study)]

    study, space, spec = start(tmp_path / "parts", rungs=rungs)
    calls = []

    def dies(configuration):
        calls.append(configuration)
        if len(calls) == after + 1:
            raise Killed
        return measured(configuration)

    with contextlib.suppress(Killed):
        run_trials(study, space, spec, dies, lambda *_: None)
    study, space, spec = start(tmp_path / "parts", rungs=rungs)
    run_trials(study, space, spec, measured, lambda *_: None)
    assert [(t.configuration, t.state, t.curve) for t in records(study)] == whole
    assert not (tmp_path / "parts" / "study" / "states").exists()


def test_rungs_stop_most_trials_and_the_front_goes_on(tmp_path):
    study, space, spec = start(tmp_path, rungs="1/8,1/2", trials=18, cohort=9)
    run_trials(study, space, spec, measured, lambda *_: None)
    found = records(study)
    steps = [t.curve.steps[-1] for t in found]
    assert len(found) == 18 and {t.state for t in found} == {"complete", "pruned"}
    assert all((t.state == "complete") == (s == 300) for t, s in zip(found, steps)) and 38 in steps
    mask = non_dominated(np.array([(t.trainable, t.loss) for t in found]))
    assert all(t.state == "complete" for t, on_front in zip(found, mask) if on_front)
    assert all(t.curve.seconds == s for t, s in zip(found, steps))  # no step twice: promoted trials were resumed


def seconds(order):
    """Some configurations take three times as long a step as others."""
    begun = 0 if order.state is None else int(order.state.read())
    return (order.job.until - begun) * (1 + 2 * (int(order.job.configuration.key, 16) % 7 == 0))


def on(slots):
    return lambda train: simulated(train, slots, seconds)


@pytest.mark.parametrize(("slots", "least"), [(2, 0.97), (8, 0.85)])
def test_no_worker_waits_for_the_slowest_trial_of_a_cohort(tmp_path, slots, least):
    """Nine trials at most were trained at once: eight GPUs would have been 47 % busy."""
    study, space, spec = start(tmp_path, rungs="1/8,1/2", trials=160, cohort=9, sampler="random")
    workers = run_trials(study, space, spec, measured, lambda *_: None, on(slots))
    found = records(study)
    assert len(found) == 160 and {t.state for t in found} == {"complete", "pruned"}
    assert workers.executor.share_busy > least
    mask = non_dominated(np.array([(t.trainable, t.loss) for t in found]))
    assert all(t.state == "complete" for t, on_front in zip(found, mask) if on_front)
    assert all(t.curve.seconds == t.curve.steps[-1] for t in found)


def test_one_worker_trains_the_trials_in_the_order_of_a_barrier(tmp_path):
    study, space, spec = start(tmp_path / "one", rungs="1/8,1/2", trials=20, cohort=6)
    run_trials(study, space, spec, measured, lambda *_: None, on(1))
    one = records(study)
    study, space, (own, folder) = start(tmp_path / "barrier", rungs="1/8,1/2", trials=20, cohort=6)
    pinned = own.model_copy(update={"deterministic": True}), folder
    run_trials(study, space, pinned, measured, lambda *_: None, on(5))
    assert [(t.configuration, t.state, t.curve.steps) for t in one] == [
        (t.configuration, t.state, t.curve.steps) for t in records(study)
    ]


@pytest.mark.parametrize("after", [20, 50, 80])
def test_several_cohorts_that_were_interrupted_go_on_as_they_were(tmp_path, after):
    study, space, spec = start(tmp_path, rungs="1/8,1/2", trials=40, cohort=6, sampler="random")
    calls = []

    def dies(configuration):
        calls.append(configuration)
        if len(calls) == after:
            raise Killed
        return measured(configuration)

    with pytest.raises(Killed):
        run_trials(study, space, spec, dies, lambda *_: None, on(12))
    left = {t.number: t.user_attrs["cohort"] for t in study.get_trials() if not t.state.is_finished()}
    assert len(set(left.values())) > 1
    study, space, spec = start(tmp_path, rungs="1/8,1/2", trials=40, cohort=6, sampler="random")
    run_trials(study, space, spec, measured, lambda *_: None, on(12))
    found = records(study)
    assert len(found) == 40 and {t.state for t in found} == {"complete", "pruned"}
    assert all(t.curve.seconds == t.curve.steps[-1] for t in found)
    assert {n: study.get_trials()[n].user_attrs["cohort"] for n in left} == left


@pytest.mark.parametrize("place", ["memory://{folder}", "file://{folder}", "{folder}"])
def test_states_elsewhere_are_gone_on_from_and_gone_at_the_end(tmp_path, place):
    """Nothing is trained twice, and the study folder holds none."""
    calls = []

    def dies(configuration):
        calls.append(configuration)
        if len(calls) == 7:
            raise Killed
        return measured(configuration)

    def begun():
        study, space, (spec, folder) = start(tmp_path, rungs="1/4,1/2", trials=6, rates=1)
        folder.artefacts = Artefacts(place.format(folder=tmp_path / "elsewhere")).within("study")
        return study, space, (spec, folder)

    with pytest.raises(Killed):
        run_trials(*begun(), dies, lambda *_: None)
    artefacts = begun()[2][1].artefacts
    assert len(artefacts.names()) >= 3 and not (tmp_path / "study" / "states").exists()
    study, space, own = begun()
    run_trials(study, space, own, dies, lambda *_: None)
    curves = [t.curve for t in records(study)]
    assert len(curves) == 6 and all(c.seconds == c.steps[-1] for c in curves) and artefacts.names() == []
    assert len(calls) == 1 + sum(len(c.steps) for c in curves)


@pytest.mark.parametrize("writes", range(1, 8))
def test_a_kill_between_a_state_and_its_measurements_goes_on_from_the_one_before(tmp_path, monkeypatch, writes):
    """The newer state was taken for the older one: steps were left out, or the trial failed."""
    study, space, own = start(tmp_path, rungs="1/4,1/2", trials=4)
    written, real = [], Stored.write

    def dies(path, state):
        written.append(real(path, state))
        if len(written) == writes:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Stored, "write", dies)
        with pytest.raises(Killed):
            run_trials(study, space, own, measured, lambda *_: None)
    study, space, own = start(tmp_path, rungs="1/4,1/2", trials=4)
    run_trials(study, space, own, measured, lambda *_: None)
    assert len(records(study)) == 4 and all(t.state in ("complete", "pruned") for t in records(study))
    assert all(t.curve.seconds == t.curve.steps[-1] for t in records(study))


def flip_a_bit(folder):
    for path in (folder.path / "states").iterdir():
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def take_others(folder):
    """A copy of the study that shares its --artefacts has gone on."""
    for name in folder.artefacts.names():
        Stored.write(folder.artefacts.path(name), b"1")


@pytest.mark.parametrize("lose", [StudyFolder.drop_states, flip_a_bit, take_others])
def test_a_lost_or_damaged_state_is_trained_again_from_the_beginning(tmp_path, lose):
    study, space, (spec, folder) = start(tmp_path, rungs="1/2", trials=4)
    calls = []

    def dies(configuration):
        calls.append(configuration)
        if len(calls) == 4 * spec.rates + 2:  # the rates are chosen, one trial is beyond them
            raise Killed
        return measured(configuration)

    with pytest.raises(Killed):
        run_trials(study, space, (spec, folder), dies, lambda *_: None)
    lose(folder)
    study, space, whole = start(tmp_path, rungs="1/2", trials=4)
    run_trials(study, space, whole, measured, lambda *_: None)
    assert all(t.state in ("complete", "pruned") for t in records(study)) and len(records(study)) == 4
    assert all(t.curve.seconds == t.curve.steps[-1] for t in records(study))


def killed_at_line(path, number, **fields):
    """A study that is killed before a line of its journal is written, and resumed: what it holds, and how many lines."""
    lines, append = [], WholeLineJournal.append_logs

    def counted(self, logs):
        lines.append(logs)
        if len(lines) == number:
            raise Killed
        append(self, logs)

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(WholeLineJournal, "append_logs", counted)
        study, space, spec = start(path, **fields)
        run_trials(study, space, spec, measured, lambda *_: None)
    study, space, spec = start(path, **fields)
    run_trials(study, space, spec, measured, lambda *_: None)
    return [(t.configuration, t.state, t.curve) for t in records(study) if t.state != "interrupted"], len(lines)


@pytest.mark.parametrize(
    ("sampler", "every"),
    [
        ("multitask-gp", 29),
        ("random", 29),
        *(pytest.param(s, 1, marks=pytest.mark.slow) for s in ("multitask-gp", "random")),
    ],
)
def test_a_kill_before_any_line_of_the_journal_changes_nothing(tmp_path, sampler, every):
    """Of a trial that was half asked the rest was drawn anew, and one that had just been asked was halved without its cohort."""
    fields = {"sampler": sampler, "trials": 6, "cohort": 3, "rungs": "1/2"}
    whole, lines = killed_at_line(tmp_path / "whole", 0, **fields)
    for number in range(3, lines + 1, every):
        assert killed_at_line(tmp_path / str(number), number, **fields)[0] == whole, f"before line {number} of {lines}"


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


def test_a_study_of_which_every_trial_fails_ends(tmp_path):
    """Promotion compared nothing with nothing, and ended in a traceback."""
    study, space, spec = start(tmp_path, trials=3, rungs="1/4,1/2")

    def never(configuration):
        raise ArithmeticError("the loss was nan at step 3 of 40")

    run_trials(study, space, spec, never, lambda *_: None)
    assert [t.state for t in records(study)] == ["failed"] * 3


def test_the_linear_probe_is_asked_for_once(tmp_path):
    study, space, spec = start(tmp_path, trials=30, space="basic", sampler="tpe")
    run_trials(study, space, spec, measured, lambda *_: None)
    assert sum(t.configuration.method == "head_only" for t in records(study)) == 1


def test_proposals_come_after_ten_trials_and_may_be_the_rest_of_the_portfolio(tmp_path, monkeypatch):
    """They came after all of it, which is after most searches have ended."""
    first = first_configurations(build_space("default", load_space("default"), SHAPES, LIMITS), portfolio())
    asked = []

    def latest(self, trials, offered, seed, number):
        asked.append((len(trials), list(offered), number))
        return offered[-1:] if len(asked) == 1 else []

    monkeypatch.setattr(Proposals, "next", latest)
    study, space, spec = start(tmp_path, trials=12, sampler="multitask-gp")
    run_trials(study, space, spec, measured, lambda *_: None)
    found = [parts(t.configuration) for t in records(study)]
    assert found == [parts(c) for c in (*first[:10], first[-1], first[11])], (
        "where there is none, the portfolio goes on"
    )
    assert asked == [(10, first[10:], 2), (11, first[10:], 1)]


def test_a_storage_that_cannot_be_opened_is_one_sentence(tmp_path):
    with pytest.raises(AutopeftError, match="storage 'nonsense://x' cannot be opened"):
        start(tmp_path, storage="nonsense://x")


def test_an_sql_storage_serves_as_well(tmp_path):
    study, space, spec = start(tmp_path, storage=f"sqlite:///{tmp_path}/study.db", trials=3)
    run_trials(study, space, spec, measured, lambda *_: None)
    assert len(records(study)) == 3


def test_one_configuration_that_can_be_trained_in_several_ways_is_asked_for_again(tmp_path):
    """Full fine-tuning of every layer is one configuration; only the probe, with one way to train, is done after one."""
    study, _, (spec, folder) = start(tmp_path, trials=14, cohort=1)
    file = SpaceFile(
        methods={"full": {}, "head_only": {}}, procedures={"lisa": {"gamma": [1], "interval": [5]}}, frozen_layers=[0]
    )
    space = build_space("mine", file, SHAPES)
    run_trials(study, space, (spec, folder), measured, lambda *_: None)
    asked = [(t.configuration.method, t.configuration.procedure) for t in records(study)]
    assert asked.count(("head_only", "plain")) == 1
    assert {("full", "plain"), ("full", "lisa")} <= set(asked) and finished_methods(study, space) == {"head_only"}
    alone = build_space("mine", file.model_copy(update={"procedures": {}}), SHAPES)
    assert finished_methods(study, alone) == {"full", "head_only"}
