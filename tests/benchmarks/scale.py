"""How busy many workers are, and what parallel trials cost in hypervolume: a clock runs that nobody waits for.

    python tests/benchmarks/scale.py [--workers 1,2,8,64,256] [--trials 1000] [--seeds 3] [--sampler multitask-gp]

Each training takes as long as recorded ones did (seconds a step, drawn by configuration from the runs of a tabular benchmark)
and scores by one draw of what the benchmark of tasks says of a new task, with the noise of one run. What the driver itself
takes is left out here and measured by driver.py.
"""

import argparse
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning

sys.path.insert(0, str(Path(__file__).parents[1]))
from made_up_executor import simulated

from autopeft.base.pareto import hypervolume
from autopeft.configuration import Configuration
from autopeft.executor.order import Answer, Order, answer
from autopeft.front.intervals import over_seeds
from autopeft.methods import count
from autopeft.objectives import Limits, Objectives
from autopeft.prepare import Prepared, prepare
from autopeft.proxy.curve import Curve
from autopeft.proxy.job import JobResult
from autopeft.report.rows import print_rows
from autopeft.space import SearchSpace
from autopeft.study.folder import StudyFolder
from autopeft.study.halving import Halving
from autopeft.study.rungs import rungs_of
from autopeft.study.spec import StudySpec
from autopeft.study.stored import records
from autopeft.study.trials import Trials
from autopeft.surrogate.gain_model import gain_model, placed
from autopeft.tabular.benchmark import TabularBenchmark

VALIDATION_ROWS = 600
PROBE, BEST = 0.6, 0.8  # scores of the linear probe and of a gain of 1
NOISE = 0.01  # standard deviation of one run's score
LEARNT = (0.35, 0.55, 0.75, 1.0)  # share of its gain that a run has after a quarter of its length ...


class World:
    """What is true in one simulated study.

    Args:
        prepared: the backbone and the limits.
        seed: of the task that is drawn.
        seconds: of a step, of recorded runs.
    """

    def __init__(self, prepared: Prepared, seed: int, seconds: np.ndarray) -> None:
        self.prepared, self.seed, self.seconds = prepared, seed, seconds
        generator = np.random.default_rng(seed)
        self.directions = generator.normal(0, 0.15, 8)
        self.gain = cache(self._gain)

    def _gain(self, configuration: Configuration) -> float:
        """What the model expects of a configuration, and what is this task's own: smooth in size, depth and method."""
        at = placed(configuration, self.prepared.shapes)
        expected = float(gain_model().expected([at])[0])
        own = np.random.default_rng([self.seed, *configuration.method.encode()]).normal(0, 0.15)
        waves = [np.sin((k + 1) * (at.size + at.depth) + d * 20) for k, d in enumerate(self.directions)]
        return expected + own + float(self.directions @ np.array(waves)) / 4

    def __call__(self, order: Order) -> Answer:
        """The training of an order."""
        job = order.job
        wanted = float(np.interp(job.until / job.steps, (0.25, 0.5, 0.75, 1.0), LEARNT))
        noise = np.random.default_rng([self.seed, int(job.configuration.key, 16) % 2**32, job.until]).normal(0, NOISE)
        score = PROBE + (BEST - PROBE) * wanted * self.gain(job.configuration) + noise
        curve = Curve(job.seed, (job.until,), (1 - score,), (1 - score,), (score,), self.took(order), 1)
        return answer(order, JobResult(curve, str(job.until).encode() if order.keep else None))

    def took(self, order: Order) -> float:
        """Seconds of an order."""
        begun = int(order.state.read()) if order.state else 0
        step = self.seconds[int(order.job.configuration.key, 16) % len(self.seconds)]
        return float((order.job.until - begun) * step)


def recorded(path: str) -> np.ndarray:
    """Seconds a step of every run of a tabular benchmark."""
    rows = TabularBenchmark.read(path).rows
    whole = rows[rows.test_score.notna()]
    return (whole.seconds / whole.step).to_numpy()


def share(prepared: Prepared, found: list, world: World, number: int) -> float:
    """Hypervolume of the true gains of the first trials that ended, by decades of parameters."""
    done = [t for t in found if t.state == "complete"][:number]
    if not done:
        return 0.0
    costs = [(np.log10(max(1, count(t.configuration, prepared.shapes))), -world.gain(t.configuration)) for t in done]
    return float(hypervolume(costs, (np.log10(prepared.shapes.backbone_parameters), 0.0)))


def searched(prepared: Prepared, workers: int, seed: int, seconds: np.ndarray) -> tuple[float, float, float]:
    """(share of the workers' time that is busy, hypervolume at the end, seconds) of one study."""
    spec, world = prepared.spec.model_copy(update={"seed": seed}), World(prepared, seed, seconds)
    limits = Limits.of_budget(prepared.shapes, prepared.budget)
    executor, study = simulate(spec, prepared.space(), limits, world, workers)
    return executor.share_busy, share(prepared, list(records(study)), world, spec.trials), executor.clock


def simulate(spec: StudySpec, space: SearchSpace, limits: Limits, world: World, workers: int):
    """The executor, with its clock, and the Optuna study of a search that trains nothing."""
    objectives = Objectives.of(spec.objectives, "accuracy")
    with tempfile.TemporaryDirectory() as folder:
        kept = StudyFolder(Path(folder))
        kept.create()
        study = optuna.create_study(directions=[o.direction for o in objectives])
        halving = Halving(study, objectives, rungs_of(spec.rungs, spec.steps, VALIDATION_ROWS), spec, kept)
        pool = simulated(world, workers, world.took)
        Trials(halving, pool, space, limits).run(lambda _: None)
    return pool.executor, study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=lambda text: [int(x) for x in text.split(",")], default=[1, 2, 8, 64, 256])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sampler", default="multitask-gp")
    parser.add_argument("--durations", default="studies/benchmarks/vader-movies.csv")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spec = StudySpec.read(
        "quickstart", trials=arguments.trials, sampler=arguments.sampler, full_steps=300, budget="1%", rates=1
    )
    prepared, seconds = prepare(spec), recorded(arguments.durations)
    rows, alone = [], {}
    for workers in arguments.workers:
        found = [searched(prepared, workers, seed, seconds) for seed in range(arguments.seeds)]
        if workers == arguments.workers[0]:
            alone = dict(enumerate(found))
        volumes = over_seeds([f[1] / alone[seed][1] for seed, f in enumerate(found)])
        rows.append(
            {
                "workers": str(workers),
                "busy": f"{100 * np.mean([f[0] for f in found]):.0f} %",
                "times as fast": f"{np.mean([alone[s][2] / f[2] for s, f in enumerate(found)]):.1f}",
                "hypervolume, of that of one worker": f"{volumes.mean:.3f} ± {volumes.half:.3f}",
            }
        )
        print_rows(rows[-1:], f"{arguments.trials} trials, {arguments.sampler}")
    print_rows(rows, f"{arguments.trials} trials, {arguments.sampler}, {arguments.seeds} seeds")


if __name__ == "__main__":
    main()
