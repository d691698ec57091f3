"""What the driver itself costs per trial, by how many trials there are: asking, counting, promoting, telling, storing.

    python tests/benchmarks/driver.py [--trials 10,100,1000,5000,10000] [--sampler tpe]

A study of that many ended trials is written into a journal, then so many more are asked for; their training takes no time
and scores by size and rate. Prints milliseconds a trial, the journal's size, and seconds to open it again.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import optuna
from optuna.trial import TrialState, create_trial

sys.path.insert(0, str(Path(__file__).parents[1]))
from made_up_executor import called  # noqa: E402

from autopeft.backbone.shapes import BackboneShapes
from autopeft.executor.order import Answer, Order, answer
from autopeft.methods import count
from autopeft.objectives import Limits, Objectives
from autopeft.prepare import prepare
from autopeft.proxy.curve import Curve
from autopeft.proxy.job import Job, JobResult
from autopeft.report.rows import print_rows
from autopeft.space import parameters_of
from autopeft.space.spread_sample import spread_sample
from autopeft.study.folder import StudyFolder
from autopeft.study.halving import Halving
from autopeft.study.optuna_study import open_study
from autopeft.study.rungs import rungs_of
from autopeft.study.spec import StudySpec
from autopeft.study.trials import Trials

MORE = 18  # trials that are timed: two cohorts
VALIDATION_ROWS = 600


def scored(job: Job, shapes: BackboneShapes) -> Curve:
    """A loss that falls with the size and the steps, with noise of its own for each configuration."""
    generator = np.random.default_rng(abs(hash(job.configuration.key)) % 2**32)
    size = np.log10(1 + count(job.configuration, shapes))
    loss = 1.0 - 0.05 * size - 0.02 * np.log10(job.until) + generator.normal(0, 0.02)
    return Curve(job.seed, (job.until,), (loss,), (loss,), (1 - loss,), 0.1, 1)


def fill(study: optuna.Study, trials: Trials, number: int) -> None:
    """Write so many ended trials: half of them stopped at the first rung, a quarter at the second."""
    space, halving = trials.space, trials.halving
    steps = [rung.steps for rung in halving.rungs]
    for place, configuration in enumerate(spread_sample(space, min(number, 2000), 0) * (number // 2000 + 1)):
        if place == number:
            return
        reached = steps[: (1, 2, 1, len(steps))[place % 4]]
        parts = [scored(Job(configuration, 0, steps[-1], s), space.shapes) for s in reached]
        curve = parts[0]
        for part in parts[1:]:
            curve = curve.then(part)
        parameters = parameters_of(space, configuration)
        attrs = {
            "configuration": configuration.to_json(),
            "trainable": count(configuration, space.shapes),
            "counted": {"parameters": count(configuration, space.shapes)},
            "curve": curve.to_json(),
        }
        whole = len(reached) == len(steps)
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if whole else TrialState.PRUNED,
                values=[float(np.log10(max(1, attrs["trainable"]))), curve.validation_score[-1]] if whole else None,
                params=parameters.parameters,
                distributions=parameters.distributions,
                user_attrs=attrs,
            )
        )


def measured(spec: StudySpec, number: int, folder: Path) -> dict[str, str]:
    """A row of the table."""
    prepared = prepare(spec)
    space, objectives = prepared.space(), Objectives.of(spec.objectives, "accuracy")
    kept = StudyFolder(folder)
    kept.create()
    study = open_study(kept, spec, objectives)

    def train(order: Order) -> Answer:
        return answer(order, JobResult(scored(order.job, space.shapes), b"state"))

    rungs = rungs_of(spec.rungs, spec.steps, VALIDATION_ROWS)
    halving = Halving(study, objectives, rungs, spec, kept)
    trials = Trials(halving, called(train), space, Limits.of_budget(space.shapes, prepared.budget))
    fill(study, trials, number)
    began = time.perf_counter()
    trials.run(lambda record: None)
    each = (time.perf_counter() - began) / MORE
    size, began = kept.journal.stat().st_size, time.perf_counter()
    open_study(kept, spec, objectives)
    again = time.perf_counter() - began
    return {
        "trials": f"{number:,}",
        "ms a trial": f"{1000 * each:.0f}",
        "journal, MB": f"{size / 1e6:.1f}",
        "s to open it again": f"{again:.1f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--trials", type=lambda text: [int(x) for x in text.split(",")], default=[10, 100, 1000, 5000, 10000]
    )
    parser.add_argument("--sampler", default="tpe")
    arguments = parser.parse_args()
    rows = []
    for number in arguments.trials:
        spec = StudySpec.read("quickstart", **{"trials": number + MORE, "sampler": arguments.sampler, "budget": "0.5%"})
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measured(spec, number, Path(folder) / "study"))
    print_rows(rows, f"the driver with {arguments.sampler}, two objectives")


if __name__ == "__main__":
    main()
