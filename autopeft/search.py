"""The spine: task -> backbone -> scores -> space -> (ask, count, train, tell)* -> finalists -> front -> report.

Stations are imported where they are used, so that `import autopeft` and `autopeft --help` load no torch.
"""

import os
import time
from pathlib import Path

from autopeft.base.progress import Progress
from autopeft.study.spec import load_spec


def search(
    study: str | None = None, out: str | Path | None = None, progress: Progress | None = None, **overrides
) -> "Result":
    """Search the configurations of a study and return its result; the same call again resumes it.

    study: a bundled study or a YAML file (default: the quickstart, unless model= or data= is given); overrides: any field of StudySpec (model=, data=, budget="0.5%", trials= ...).
    out: the study folder (default: runs/<name of the study>). Raises AutopeftError on bad input.
    Ctrl-C stops the training cleanly; what was measured so far is reported.
    """
    from autopeft.prepare import prepare

    progress = progress or Progress(quiet=True)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads that spin slow everything else on the machine
    began, interrupted = time.monotonic(), False
    prepared = prepare(load_spec(study, overrides), progress.note)

    from autopeft.result import Result
    from autopeft.workbench import open_workbench  # loads torch: only now that nothing is wrong with the input

    bench = open_workbench(prepared, Path(out or Path("runs") / prepared.spec.name), progress)
    try:
        run_search(bench)
        run_full_length(bench)
    except KeyboardInterrupt:
        interrupted = True
        progress.note("Stopped. Run the same command again to go on from here.")
    finally:
        bench.close()
        progress.close()
        bench.add_seconds(time.monotonic() - began)
    result = Result.open(bench.folder.path, interrupted)
    result.write_report()
    return result


def plan(study: str | None = None, out: str | Path | None = None, **overrides) -> dict:
    """What `search` would do, without weights or training: sizes, space, baselines, runs. Raises as `search` would."""
    from autopeft.methods import count
    from autopeft.prepare import prepare
    from autopeft.study.full_length import baselines
    from autopeft.study.rungs import ladder

    prepared = prepare(load_spec(study, overrides))
    spec, task, shapes, budget, space = prepared.spec, prepared.task, prepared.shapes, prepared.budget, prepared.space()
    affordable = [b.name for b in space.affordable()]
    return {
        "folder": str(out or Path("runs") / spec.name),
        "task": task.summary(),
        "budget": budget,
        "backbone_parameters": shapes.backbone_parameters,
        "head_parameters": shapes.head_parameters,
        "configurations": space.configurations,
        "methods": affordable,
        "refused": space.refused,
        "over_budget": sorted({b.name for b in space.branches} - set(affordable)),
        "trials": spec.trials,
        "rungs": [
            {"steps": r.steps, "rows": r.rows} for r in ladder(spec.rungs, spec.full_steps, len(task.validation))
        ],
        "full_steps": spec.full_steps,
        "seeds": spec.seeds,
        "finalists": spec.finalists,
        "baselines": [
            {"name": c.name, "configuration": str(c.configuration), "trainable": count(c.configuration, shapes)}
            for c in baselines(shapes, budget, spec.ceiling)
        ],
    }


def run_search(bench) -> None:
    """The trials: sampled configurations that climb the rungs."""
    from autopeft.study.trials import ended, run_trials

    best: list[float] = [t.values[1] for t in ended(bench.study) if t.values]

    def report(trial):
        if trial.state == "complete":
            best.append(trial.score)
        said = f"{bench.spec.metric} {trial.score:.3f}" if trial.score is not None else f"{trial.state}: {trial.reason}"
        if trial.state == "pruned":
            said += f", stopped at step {trial.curve.steps[-1]}"
        top = f", best {max(best):.3f}" if best else ""
        bench.progress.step(f"{trial.configuration}: {trial.trainable:,} params, {said}{top}")

    bench.progress.stage("trials", bench.spec.trials, len(ended(bench.study)))
    run_trials(bench.study, bench.space, bench.spec, bench.folder, bench.ladder, bench.workers.run, report, bench.first)


def run_full_length(bench) -> None:
    """Baselines and the members of the front, trained in full with several seeds, each scored once on the test split."""
    from autopeft.study.finalists import finalists
    from autopeft.study.full_length import baselines, finalist, runs_left, train_contenders
    from autopeft.study.trials import records

    chosen = [t for t in finalists(records(bench.study), bench.spec.finalists) if t.configuration.method != "head_only"]
    contenders = baselines(bench.shapes, bench.space.budget, bench.spec.ceiling) + [finalist(t) for t in chosen]
    bench.progress.stage("full length", runs_left(contenders, bench.folder, bench.spec))

    def report(name, curve):
        if curve is None:
            return bench.progress.step(name)
        test = f", test {curve.test_score:.3f}" if curve.test_score is not None else ""
        bench.progress.step(f"{name}: validation {curve.validation_score[-1]:.3f}{test} in {curve.seconds:.0f} s")

    train_contenders(contenders, bench.folder, bench.spec, bench.shapes, bench.workers.run, report, bench.progress.more)
