"""A tabular benchmark as arrays: what each run measured at each rung, and its test score at full length."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autopeft.base.errors import AutopeftError
from autopeft.base.pareto import hypervolume
from autopeft.space import parse_budget
from autopeft.tabular.benchmark import TabularBenchmark
from autopeft.tabular.weighed import DEFAULT, Floats, counted_costs, known_to, limits_on, objectives_of

FEWEST = 4  # configurations below which no figure means anything

Chosen = Sequence[int] | NDArray[np.integer] | slice


@dataclass(frozen=True, eq=False)
class Runs:
    """N configurations at R rungs, with K objectives that are counted before training.

    Every column is a cost, lower is better: scores are negated.

    Attributes:
        keys: (N,) The configurations' keys.
        counted: (N, K) The counted objectives on the sampler's scale, such as log10 of the parameters.
        ends: (K,) Where the hypervolume ends on each of them, on the same scale.
        steps: (R,) The rungs, in training steps. The last one is the full length.
        signals: What one seed measured at each rung, (N, R) by name.
        tested: The test split's "score" and, where known, "loss" at full length, (N,) each, as means over seeds.
        probes: (N,) Which configurations are linear probes.
        two_seeds: (N, 2) The quality on the test split of two seeds each, NaN where one is missing; None for a single
            seed.
        quality: What says how good a configuration is: "score" or "loss".
    """

    keys: tuple[str, ...]
    counted: Floats
    ends: Floats
    steps: NDArray[np.integer]
    signals: dict[str, Floats]
    tested: dict[str, Floats]
    probes: NDArray[np.bool_]
    two_seeds: Floats | None = None
    quality: Literal["score", "loss"] = "score"

    @property
    def final(self) -> Floats:
        """(N,) The quality on the test split at full length, as a cost."""
        return self.tested[self.quality]

    @property
    def validated(self) -> Floats:
        """(N,) The quality on the validation split at full length, as a cost."""
        return self.signals[f"validation_{self.quality}"][:, -1]

    @property
    def reference(self) -> Floats:
        """(K + 1,) Where the hypervolume ends: `ends`, then the cost of the best linear probe (else the worst cost)."""
        worst = self.final[self.probes].min() if self.probes.any() else self.final.max()
        return np.array([*self.ends, worst])

    def points(self, cost: Floats) -> Floats:
        """Put the counted objectives beside a cost.

        Args:
            cost: (N,) What is minimised beside them.

        Returns:
            (N, K + 1) The points.
        """
        return np.column_stack([self.counted, cost])

    def volume(self, chosen: Chosen) -> float:
        """The hypervolume of what the chosen configurations reach on the test split."""
        return hypervolume(self.points(self.final)[chosen], self.reference)

    def share(self, chosen: Chosen) -> float:
        """The same, as a share of the whole benchmark's; NaN where that has none."""
        whole = self.volume(slice(None))
        return self.volume(chosen) / whole if whole else float("nan")

    def rung(self, share: float) -> int:
        """The index of the rung nearest to a share of the full length."""
        return int(np.abs(self.steps - share * self.steps[-1]).argmin())


def runs_of(benchmark: TabularBenchmark, budget: str | None = None, objectives: str = DEFAULT) -> Runs:
    """The finished runs of a benchmark within a budget.

    Args:
        benchmark: Whose runs.
        budget: "0.5%", "300k" or a number; the benchmark's own budget if none is given.
        objectives: What configurations are weighed by; "metric" stands for the benchmark's own.

    Raises:
        AutopeftError: Too few configurations are left, the budget is above the benchmark's own, or it cannot know an
            objective.
    """
    weighed = objectives_of(benchmark, objectives)
    limit = limit_of(benchmark, budget)
    rows = benchmark.rows if limit is None else benchmark.rows[benchmark.rows["trainable"] <= limit]
    tested = rows.dropna(subset=["test_score"])
    rows = rows.merge(tested[["configuration", "seed"]], on=["configuration", "seed"])
    seeds = sorted(tested["seed"].unique())
    first = rows[rows["seed"] == seeds[0]] if seeds else rows
    keys = tuple(first["configuration"].drop_duplicates())
    check_enough(len(keys), benchmark.path)
    mean = tested.groupby("configuration")[["test_loss", "test_score"]].mean().loc[list(keys)]

    def wide(column: str) -> Floats:
        return first.pivot_table(index="configuration", columns="step", values=column).loc[list(keys)].to_numpy()

    reads = weighed.quality.reads
    by_seed = tested.pivot_table(index="configuration", columns="seed", values=f"test_{reads}").reindex(keys)
    every = benchmark.configurations()
    counted = counted_costs(known_to(weighed, benchmark.path), [every[k] for k in keys], limits_on(benchmark, limit))
    trainable = first.drop_duplicates("configuration")["trainable"].to_numpy(float)
    return Runs(
        keys,
        counted=counted.values,
        ends=counted.ends,
        steps=np.array(sorted(first["step"].unique())),
        signals={n: wide(n) for n in ("validation_loss", "train_loss")}
        | {"validation_score": -wide("validation_score")},
        tested={"score": -mean["test_score"].to_numpy(), "loss": mean["test_loss"].to_numpy()},
        probes=trainable == 0,
        two_seeds=(by_seed if reads == "loss" else -by_seed).to_numpy()[:, :2] if len(seeds) > 1 else None,
        quality=reads,
    )


def limit_of(benchmark: TabularBenchmark, budget: str | None) -> int | None:
    """The budget in parameters; the benchmark's own if none is given.

    Raises:
        AutopeftError: The budget is above the benchmark's own.
    """
    own = benchmark.about.get("budget")
    if budget is None:
        return own
    limit = parse_budget(budget, benchmark.about["shapes"]["backbone_parameters"])
    if own and limit is not None and limit > own:
        raise AutopeftError(
            f"The budget {budget} is {limit:,} parameters, {benchmark.path} ends at {own:,}: give less."
        )
    return limit


def check_enough(number: int, path: str | Path) -> None:
    """Raise AutopeftError for fewer configurations than mean anything."""
    if number < FEWEST:
        raise AutopeftError(f"{path} has {number} finished configurations within the budget: {FEWEST} are needed.")
