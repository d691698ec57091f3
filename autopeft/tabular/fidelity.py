"""How well a short run's signal predicts the test score at full length: ranking, front, hypervolume."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from autopeft.base.errors import AutopeftError
from autopeft.base.pareto import non_dominated
from autopeft.tabular.benchmark import TabularBenchmark
from autopeft.tabular.halving import promotion_rows
from autopeft.tabular.published import is_published, read_published
from autopeft.tabular.runs import Runs, runs_of
from autopeft.tabular.weighed import DEFAULT, Floats

RESAMPLES = 400  # of the bootstrap over configurations
MARGIN = 0.01  # a front member is nearly kept when one as small is within this score of it


def read_and_judge(
    path: str | Path, budget: str | None = None, objectives: str = DEFAULT
) -> dict[str, list[dict[str, Any]]]:
    """Judge a tabular benchmark, or runs that others published, JSON-ready (None for what cannot be said).

    Args:
        path: The CSV file.
        budget: Only the configurations within it; published runs have none.
        objectives: What configurations are weighed by; published runs have parameters and their accuracy alone.

    Returns:
        The rows of `fidelity` and of `promotion_rows`, as "fidelity" and "promotion".

    Raises:
        AutopeftError: The file cannot be used, or too few configurations are within the budget.
    """
    if is_published(path):
        if budget:
            raise AutopeftError(f"{path} is a benchmark of published runs without a budget: leave out --budget.")
        if objectives != DEFAULT:
            raise AutopeftError(
                f"{path} is a benchmark of published runs, of which only parameters and the accuracy are known: leave "
                "out --objectives."
            )
        runs, final = read_published(path), "valid_accuracy"
    else:
        runs, final = runs_of(TabularBenchmark.read(path), budget, objectives), "validation_loss"
    found = {"fidelity": fidelity(runs), "promotion": promotion_rows(runs, final)}
    return {part: [{k: None if v != v else v for k, v in row.items()} for row in rows] for part, rows in found.items()}


def fidelity(runs: Runs) -> list[dict[str, Any]]:
    """One row of figures per rung and signal, then the ceiling: the test score of one seed against another's."""
    rows: list[dict[str, Any]] = []
    for i, step in enumerate(runs.steps):
        for name, costs in runs.signals.items():
            known = np.isfinite(costs[:, i])
            if known.sum() > 2:
                rows.append({"step": int(step), "signal": name, **figures(runs, costs[:, i], known, name)})
    return rows + ceiling(runs)


def ceiling(runs: Runs) -> list[dict[str, Any]]:
    """The row that no signal of one run can be expected to beat; none where fewer than three have two seeds."""
    if runs.two_seeds is None:
        return []
    one, other = runs.two_seeds.T
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 3:
        return []
    row = figures(runs, one, both, runs.quality, tested=other)
    return [{"step": int(runs.steps[-1]), "signal": f"test {runs.quality}, other seed", **row}]


def figures(
    runs: Runs, cost: Floats, known: NDArray[np.bool_], signal: str, tested: Floats | None = None
) -> dict[str, Any]:
    """Compare a signal with the quality on the test split at full length.

    Args:
        runs: N configurations.
        cost: (N,) The signal.
        known: (N,) Where it is known.
        signal: Its name. `tau_own` compares a loss with the test loss, anything else with the test score.
        tested: (N,) The quality's cost on the test split; the mean over seeds if none is given.

    Returns:
        The columns that docs/tabular.md lists.
    """
    own = own_measurement(runs, signal, tested)
    tested = runs.final if tested is None else tested
    cost, final, own, counted = cost[known], tested[known], own[known], runs.counted[known]
    low, high = tau_interval(cost, final)
    best_third = np.argsort(final, kind="stable")[: max(3, round(len(final) / 3))]
    front = np.flatnonzero(non_dominated(runs.points(tested)[known]))
    chosen = np.flatnonzero(non_dominated(np.column_stack([counted, cost])))
    everyone = np.flatnonzero(known)
    whole = runs.volume(everyone)
    return {
        "of": int(known.sum()),
        "tau_own": tau(cost, own),
        "tau": tau(cost, final),
        "tau_low": low,
        "tau_high": high,
        "spearman": spearman(cost, final),
        "spearman_top": spearman(cost[best_third], final[best_third]),
        "front": len(front),
        "recall": float(np.isin(front, chosen).mean()),
        "recall_near": nearly_kept(counted, final, front, chosen),
        "kept": runs.volume(everyone[chosen]) / whole if whole else float("nan"),
        "regret": float(final[cost.argmin()] - final.min()),
    }


def own_measurement(runs: Runs, signal: str, tested: Floats | None) -> Floats:
    """The test split's measurement (N,) of a signal's own kind; what it is compared with where that is unknown."""
    kind = "loss" if "loss" in signal else "score"
    if tested is not None and kind == runs.quality:
        return tested
    return runs.tested.get(kind, runs.final)


def nearly_kept(counted: Floats, final: Floats, front: NDArray[np.integer], chosen: NDArray[np.integer]) -> float:
    """The share of the front's members beside which a chosen one, nowhere larger, has a score within `MARGIN`.

    Args:
        counted: (N, K) The counted objectives.
        final: (N,) The test score's cost.
        front: Indices of the front's members.
        chosen: Indices of the chosen configurations.
    """
    small = (counted[chosen][None] <= counted[front][:, None]).all(axis=2)
    near = final[chosen][None] <= final[front][:, None] + MARGIN + 1e-12
    return float((small & near).any(axis=1).mean())


def tau(one: Floats, other: Floats) -> float:
    """Kendall's tau-b; NaN where one of the two never varies."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(kendalltau(one, other).statistic)


def spearman(one: Floats, other: Floats) -> float:
    """Spearman's rank correlation; NaN where one of the two never varies."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(spearmanr(one, other).statistic)


def tau_interval(one: Floats, other: Floats, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of tau-b over resampled configurations (bootstrap).

    tau-b of a resample is computed from the matrices of signs (N, N), so that 400 of them take a fraction of a second.
    Two copies of one configuration have the sign 0: they are no pair.

    Args:
        one: (N,) A cost.
        other: (N,) Another one.
        seed: Of the resampling.

    Returns:
        Its two ends, NaN where tau-b is undefined in every resample.
    """
    generator = np.random.default_rng(seed)
    signs = [np.sign(x[:, None] - x[None]) for x in (one, other)]
    product, untied = signs[0] * signs[1], [np.abs(s) for s in signs]
    found = []
    for _ in range(RESAMPLES):
        weight = np.bincount(generator.integers(len(one), size=len(one)), minlength=len(one)).astype(float)
        pairs = [weight @ m @ weight for m in (product, *untied)]
        if pairs[1] and pairs[2]:
            found.append(pairs[0] / np.sqrt(pairs[1] * pairs[2]))
    if not found:
        return float("nan"), float("nan")
    low, high = np.percentile(found, [2.5, 97.5]).tolist()
    return low, high
