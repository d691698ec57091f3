"""The spine: task -> backbone -> scores -> space -> (ask, count, train, tell)* -> finalists -> front -> report.

Stations are imported where they are used, so that `import autopeft` and `autopeft --help` load no torch.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from autopeft.base.errors import AutopeftError
from autopeft.base.interrupt import Terminated, interrupts_noted, raise_if_interrupted
from autopeft.base.lock import one_writer
from autopeft.base.progress import Progress
from autopeft.base.steady import steady
from autopeft.study.spec import StudySpec

if TYPE_CHECKING:
    from autopeft.proxy.curve import Curve
    from autopeft.result import Result
    from autopeft.study.records import TrialRecord
    from autopeft.workbench import Workbench


def search(
    study: StudySpec | str | Path | None = None, out: str | Path | None = None, progress: Progress | None = None
) -> "Result":
    """Search the configurations of a study and return its result; the same call again resumes it.

    Ctrl-C stops the training cleanly; what was measured so far is reported. So does SIGTERM, which then ends the process.

    Args:
        study: a `StudySpec`, a bundled study's name or a YAML file (default: the quickstart).
        out: the study folder (default: runs/<name of the study>).
        progress: shows what is going on (default: nothing is shown).

    Returns:
        The result, with the report already written into the study folder.

    Raises:
        AutopeftError: bad input, said in one sentence.
        Terminated: SIGTERM came. It is a SystemExit with the code 75, on which a scheduler may start the process again.

    Example:
        >>> import autopeft
        >>> small = autopeft.StudySpec.read(
        ...     "quickstart", trials=2, full_steps=4, train_rows=64, validation_rows=32, test_rows=32, max_length=16,
        ...     seeds=1, finalists=1, ceiling=False, precision="fp32", workers=1
        ... )
        >>> result = autopeft.search(small, out="runs/small")
        >>> len(result.data.complete) >= 1 and len(result.front.points) >= 1
        True
    """
    progress, spec = progress or Progress(quiet=True), spec_of(study)
    folder = folder_of(spec, out)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads that spin slow everything else on the machine
    from autopeft.start_checks import check_start

    check_start(spec, folder)
    with one_writer(folder / "writer.lock", f"The study in {folder}"):
        interrupt = write_study(spec, folder, progress)

        from autopeft.result import Result

        result = Result.open(folder, interrupt is not None)
        result.write_report()
    if isinstance(interrupt, Terminated):
        raise interrupt
    return result


@interrupts_noted()
def write_study(spec: StudySpec, folder: Path, progress: Progress) -> KeyboardInterrupt | Terminated | None:
    """Begin or resume a study and write what it finds into its folder; gives what ended it early. Raises AutopeftError."""
    from autopeft.prepare import prepare_in
    from autopeft.study.folder import StudyFolder

    began, study = steady(), StudyFolder(folder)
    study.check_links()
    prepared = prepare_in(study, spec, progress.note)

    if prepared.spec.executor == "ray":
        from autopeft.executor.cluster import started_ray

        started_ray(prepared.spec.address)

    from autopeft.study.optuna_study import in_reach
    from autopeft.workbench import open_workbench  # loads torch: only now that nothing is wrong with the input

    new = study.empty
    try:
        bench = open_workbench(prepared, folder, progress, began)
    except (AutopeftError, OSError, RuntimeError):
        if new:
            study.discard()  # it would refuse the next start, with what was wrong put right
        raise
    try:
        with in_reach(spec):
            run_full_length(bench, run_search(bench))
        raise_if_interrupted()
        return None
    except (KeyboardInterrupt, Terminated) as interrupt:
        progress.note("Stopped. Run the same command again to resume.")
        return interrupt
    finally:
        bench.close()
        progress.close()
        bench.add_seconds(steady() - began)


def spec_of(study: StudySpec | str | Path | None) -> StudySpec:
    """A study as it is, or read by name or from a file. Raises AutopeftError."""
    return study if isinstance(study, StudySpec) else StudySpec.read(study)


def folder_of(spec: StudySpec, out: str | Path | None) -> Path:
    """Where a study is kept."""
    return Path(out or Path("runs") / spec.name)


def run_search(bench: "Workbench") -> float:
    """The trials: sampled configurations, halved at the rungs; gives how many times as long as planned they took."""
    from autopeft.study.stored import ended

    quality, spec = bench.prepared.objectives.quality, bench.prepared.spec
    best = [v for t in map_complete(bench) if (v := quality.value(t)) is not None]

    def report(trial: "TrialRecord") -> None:
        value = quality.value(trial)
        if trial.state == "complete" and value is not None:
            best.append(value)
        said = f"{trial.state}: {trial.reason}" if value is None else f"{quality.name} {value:.3f}"
        if trial.state == "pruned" and trial.curve:
            said += f", pruned at step {trial.curve.steps[-1]}"
        top = f", best {min(best, key=quality.cost):.3f}" if best else ""
        bench.progress.step(f"{trial.configuration}: {trial.trainable:,} params, {said}{top}")

    began, done = steady(), len(ended(bench.study))
    bench.progress.stage("trials", spec.trials, done)
    bench.trials.run(report, bench.clock.trials_until() if bench.clock else float("inf"))
    return bench.clock.slower(len(ended(bench.study)) - done, steady() - began) if bench.clock else 1.0


def map_complete(bench: "Workbench") -> list["TrialRecord"]:
    """The trials that were trained to the end."""
    from autopeft.study.stored import records

    return [t for t in records(bench.study) if t.state == "complete"]


def run_full_length(bench: "Workbench", slower: float = 1.0) -> None:
    """Baselines and the members of the front, trained in full and raced, each run scored once on the test split.

    Args:
        bench: the study.
        slower: times as long as planned that the trials took; of a study with a time it decides what still fits.
    """
    from autopeft.study.candidates import baselines, finalist
    from autopeft.study.finalists import finalists

    prepared, objectives = bench.prepared, bench.prepared.objectives
    most, ceiling = prepared.spec.finalists, prepared.spec.ceiling
    if bench.clock:
        most, ceiling = bench.clock.full_length(slower)
    trials = map_complete(bench)
    candidates = baselines(prepared.shapes, prepared.budget, ceiling, prepared.spec, trials)
    candidates += [finalist(t) for t in finalists(trials, objectives, most, candidates)]
    bench.progress.stage("full length", bench.full_length.left(candidates))
    quality = objectives.quality

    def report(name: str, curve: "Curve | None") -> None:
        if curve is None:
            return bench.progress.step(name)
        tested = quality.reported({}, curve, "test")
        test = "" if tested is None else f", test {tested:.3f}"
        best = "" if curve.best_step is None else f" at step {curve.best_step:,}"
        bench.progress.step(
            f"{name}: validation {quality.reported({}, curve, 'validation'):.3f}{test}{best} in {curve.seconds:.0f} s"
        )

    bench.keep("racing", None)  # until it is over
    until = bench.clock.until if bench.clock else float("inf")
    saved, of = bench.full_length.run(candidates, report, bench.progress.more, until)
    bench.keep("racing", {"saved": saved, "of": of})
