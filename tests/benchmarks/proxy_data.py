"""Does it matter which rows trials are trained on? Rank fidelity against a tabular benchmark, at equal rows and steps.

    python tests/benchmarks/proxy_data.py studies/benchmarks/rotten-tomatoes.csv [--rows 256] [--steps 24] [--configurations 48] [--seeds 2]

The benchmark's configurations (spread evenly over its test scores) are trained from beginning to end for a few steps on few
rows chosen in each way, and ranked by validation loss. They are compared with the benchmark's test score at full length on
all of its rows, the mean of its seeds. Printed for each choice: Kendall's tau-b (95 % of resampled configurations), the same per
seed, and the difference to random rows over the same resamples.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
from dataclasses import replace

import numpy as np

from autopeft.base.progress import Progress
from autopeft.configuration import Configuration
from autopeft.prepare import prepare
from autopeft.proxy.job import Job
from autopeft.proxy.subset import CHOICES, proxy_rows
from autopeft.resident import load_resident, load_workers
from autopeft.study.spec import StudySpec
from autopeft.tabular.benchmark import TabularBenchmark
from autopeft.tabular.build import IDENTITY
from autopeft.tabular.fidelity import tau
from autopeft.tabular.runs import runs_of

RESAMPLES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--configurations", type=int, default=48)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--choices", nargs="*", default=CHOICES, choices=CHOICES, help="beside random rows")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    benchmark = TabularBenchmark.read(arguments.benchmark)
    prepared = prepare(
        StudySpec.read("benchmark", **{k: benchmark.about["spec"].get(k) for k in IDENTITY if k != "seed"})
    )
    configurations, final = spread(benchmark, arguments.configurations)
    opened = load_resident(prepared, None, Progress(quiet=True))
    print(
        f"{len(configurations)} configurations, {arguments.rows} of {len(opened.tokenised.train)} rows, {arguments.steps} steps"
    )
    costs = {}
    for choice in dict.fromkeys(("random", *arguments.choices)):
        costs[choice] = np.array(
            [measured(choice, seed, arguments, configurations, prepared, opened) for seed in range(arguments.seeds)]
        )
        show(choice, costs, final)


def spread(benchmark: TabularBenchmark, number: int) -> tuple[list[Configuration], np.ndarray]:
    """Configurations evenly spread over the benchmark's test scores, and the scores' negatives."""
    runs = runs_of(benchmark)
    order = np.argsort(runs.tested["score"])
    chosen = order[np.linspace(0, len(order) - 1, min(number, len(order))).round().astype(int)]
    known = benchmark.configurations()
    return [known[runs.keys[i]] for i in chosen], runs.tested["score"][chosen]


def measured(choice, seed, arguments, configurations, prepared, opened) -> list[float]:
    """The validation loss of each configuration after the few steps, infinite where it failed."""
    spec, rows = prepared.spec, proxy_rows(choice, opened.backbone, opened.tokenised, arguments.rows, seed)
    prepared = replace(prepared, spec=spec.model_copy(update={"workers": arguments.workers}))
    workers = load_workers(prepared, opened, Progress(quiet=True), rows)
    jobs = [Job(c, seed, arguments.steps, arguments.steps, proxy=True) for c in configurations]
    losses = [np.inf] * len(jobs)
    for number, done in workers.run(jobs):
        losses[number] = done.curve.validation_loss[-1] if done.curve else np.inf
    workers.close()
    return losses


def show(choice: str, costs: dict[str, np.ndarray], final: np.ndarray) -> None:
    """One line: tau of the mean over seeds, its interval, each seed's, and the difference to random rows."""
    generator = np.random.default_rng(0)
    mine, plain = (costs[c].mean(0) for c in (choice, "random"))
    drawn = [generator.integers(len(final), size=len(final)) for _ in range(RESAMPLES)]
    low, high = np.nanpercentile([tau(mine[d], final[d]) for d in drawn], [2.5, 97.5])
    gap = np.nanpercentile([tau(mine[d], final[d]) - tau(plain[d], final[d]) for d in drawn], [2.5, 97.5])
    seeds = ", ".join(f"{tau(c, final):.3f}" for c in costs[choice])
    print(
        f"{choice}: tau {tau(mine, final):.3f} ({low:.3f} to {high:.3f}), seeds {seeds}; "
        f"against random {tau(mine, final) - tau(plain, final):+.3f} ({gap[0]:+.3f} to {gap[1]:+.3f})",
        flush=True,
    )


if __name__ == "__main__":
    main()
