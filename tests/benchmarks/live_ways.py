"""The ways to search that live.py compares: each in the same wall time, with the members of the front that it reports."""

import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import optuna
from full_training import Clock, PaddedRows, by_trainer
from live_figures import Member, members

from autopeft.base.lock import one_writer
from autopeft.base.progress import Progress
from autopeft.base.quantities import seconds_of
from autopeft.cli.main import EXIT_INTERRUPTED
from autopeft.configuration import Configuration
from autopeft.front import front_of
from autopeft.methods import count, get_method
from autopeft.prepare import Prepared
from autopeft.study.folder import StudyFolder
from autopeft.study.reading import read_study
from autopeft.study.records import StudyResult, TrialRecord
from autopeft.study.spec import StudySpec
from autopeft.tasks.task import Split
from autopeft.uniform_lora import RANKS, TARGETS

ENGINE = {
    "search": (),
    "random": ("--sampler=random", "--no-portfolio", "--rates=1", "--rungs=none", "--trials=100000"),
    "lora": ("--space=lora",),
}
WAYS = (*ENGINE, "naive")
COMMAND = """
import signal
import sys
from pathlib import Path
from autopeft.cli.main import main
from autopeft.space import portfolio, rates
portfolio.FILE, rates.FILE = map(Path, sys.argv[1:3])
del sys.argv[1:3]
signal.signal(signal.SIGINT, signal.default_int_handler)
"""  # `autopeft` with another portfolio and rates, and with Ctrl-C where a shell's background jobs ignore it
NO_DEFAULTS = """
from autopeft.study import trials
trials.first_configurations = lambda *_: []
"""  # without a portfolio a study begins with every method's default, of which few trials would consist


def by_engine(way: str, folder: Path, asked: dict) -> dict:
    """A search in a new process: wall seconds with everything that it loads and writes, and the front that it reports."""
    study = folder / way
    with one_writer(
        study / "writer.lock", f"The study in {study}"
    ):  # one that outlived a kill would run beside this one
        shutil.rmtree(study)
    options = [f"--{name}={asked[name]}" for name in ("data", "model", "budget")]
    begun = COMMAND + (NO_DEFAULTS if way == "random" else "") + "main()"
    command = [sys.executable, "-c", begun, asked["portfolio file"], asked["rates file"], "search", f"--out={study}"]
    command += [*options, *asked["further"], *ENGINE[way]]
    began = time.monotonic()
    if way == "random":
        code = interrupted([*command, f"--full-steps={spec_of(folder).full_steps}"], seconds_of(asked["time"]))
    else:
        code = subprocess.run([*command, f"--time={asked['time']}"]).returncode
    if code:
        sys.exit(code)  # it said why
    seconds, result = time.monotonic() - began, read_study(study)
    return way_of(len(trained(result)), seconds, result.spec["full_steps"], members(answer(result), result.budget))


def trained(result: StudyResult) -> list[TrialRecord]:
    """The trials that ended, and those that were done when Ctrl-C came while others of their cohort were not."""
    steps = result.spec["full_steps"]
    return [t for t in result.trials if t.curve and (t.state in ("complete", "pruned") or t.curve.steps[-1] == steps)]


def answer(result: StudyResult) -> list[Member]:
    """What a study reports; without finalists and baselines all trials of full length, of which the best are chosen."""
    if result.outcomes:
        return [Member(p.configuration, p.trainable, p.validation) for p in front_of(result).points]
    whole = [t for t in trained(result) if t.curve.steps[-1] == result.spec["full_steps"]]
    return [Member(t.configuration, t.trainable, t.curve.validation_score[-1]) for t in whole]


def interrupted(command: list[str], seconds: float) -> int:
    """Run a command, and press Ctrl-C when the time is over; 0 if that is how it ended, else its exit status."""
    with subprocess.Popen(command) as process:
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            code = process.wait()
        finally:
            process.terminate()  # not to outlive this process
    return 0 if code == EXIT_INTERRUPTED else code


def by_naive(prepared: Prepared, seconds: float, progress: Progress) -> dict:
    """What a user would write: as many full-length trainings as begin in the time, one at least."""
    few = Split(prepared.task.test.texts[:8], prepared.task.test.labels[:8])  # nobody looks at its test scores
    prepared = replace(prepared, task=replace(prepared.task, test=few))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    clock, found = Clock(), []
    rows, study = PaddedRows(prepared, clock), optuna.create_study(directions=["minimize", "maximize"])
    while not found or clock.seconds() < seconds:
        trial = study.ask()
        configuration = drawn(trial, prepared.shapes.num_layers)
        trainable = count(configuration, prepared.shapes)
        if trainable > prepared.budget:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            continue
        score = by_trainer(prepared, rows, configuration, clock)["validation_score"]
        study.tell(trial, [trainable, score])
        found.append(Member(configuration, trainable, score))
        progress.note(f"naive: {configuration}: {score:.3f} after {clock.seconds():.0f} s")
    return way_of(len(found), clock.seconds(), prepared.spec.full_steps, members(found, prepared.budget))


def drawn(trial: optuna.Trial, layers: int) -> Configuration:
    """What tutorials tune: method, rank, targets and learning rate."""
    method = trial.suggest_categorical("method", ("lora", "dora", "ia3"))
    settings = dict(get_method(method).defaults)
    if "rank" in settings:
        settings["rank"] = trial.suggest_categorical("rank", RANKS)
        settings["target_modules"] = trial.suggest_categorical("target_modules", TARGETS)
    return Configuration.of(method, settings, range(layers), trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True))


def way_of(trials: int, seconds: float, steps: int, found: list[Member]) -> dict:
    return {"trials": trials, "seconds": seconds, "steps": steps, "members": [m.to_json() for m in found]}


def spec_of(folder: Path) -> StudySpec:
    """The search's study, with the length that was planned for it: every way is trained again at that one."""
    return StudySpec(**StudyFolder(folder / "search").read()["spec"])
