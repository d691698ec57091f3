"""Runs -> how well a short run's signal foretells the truth: ranking, front, hypervolume. Imports no torch."""

from pathlib import Path

import numpy as np
from scipy.stats import kendalltau, spearmanr

from autopeft.base.errors import AutopeftError
from autopeft.base.pareto import non_dominated
from autopeft.tabular.benchmark import TruthTable
from autopeft.tabular.halving import promotion_rows
from autopeft.tabular.published import is_published, read_published
from autopeft.tabular.runs import Runs, runs_of

RESAMPLES = 400  # of the bootstrap over configurations
MARGIN = 0.01  # a front member is nearly kept when one as small is within this score of it


def read_and_judge(path: str | Path, budget: str | None = None) -> dict:
    """A table's or a published table's figures, JSON-ready (null for what cannot be said). Raises AutopeftError."""
    if is_published(path):
        if budget:
            raise AutopeftError(f"{path} is a published table without a budget: leave out --budget.")
        runs, final = read_published(path), "valid_accuracy"
    else:
        runs, final = runs_of(TruthTable.read(path), budget), "validation_loss"
    found = {"fidelity": fidelity(runs), "promotion": promotion_rows(runs, final)}
    return {part: [{k: None if v != v else v for k, v in row.items()} for row in rows] for part, rows in found.items()}


def fidelity(runs: Runs) -> list[dict]:
    """One row of figures per rung and signal, then the ceiling: the test score of one seed against another's."""
    rows = []
    for i, step in enumerate(runs.steps):
        for name, costs in runs.signals.items():
            known = np.isfinite(costs[:, i])
            if known.sum() > 2:
                rows.append({"step": int(step), "signal": name, **figures(runs, costs[:, i], known, name)})
    if runs.twins is not None and (both := np.isfinite(runs.twins).all(axis=1)).sum() > 2:
        ceiling = figures(runs, runs.twins[:, 0], both, "score", truth=runs.twins[:, 1])
        rows.append({"step": int(runs.steps[-1]), "signal": "test score, other seed", **ceiling})
    return rows


def figures(runs: Runs, cost: np.ndarray, known: np.ndarray, signal: str, truth: np.ndarray | None = None) -> dict:
    """Agreement of a cost (N,) with the score truth over the known configurations; tau_own is loss against loss."""
    truth = runs.truths["score"] if truth is None else truth
    own = runs.truths["loss"] if "loss" in signal and "loss" in runs.truths else truth
    cost, true, own = cost[known], truth[known], own[known]
    low, high = tau_interval(cost, true)
    best_third = np.argsort(true, kind="stable")[: max(3, round(len(true) / 3))]
    true_front = np.flatnonzero(non_dominated(runs.points(truth)[known]))
    chosen = np.flatnonzero(non_dominated(np.column_stack([runs.parameters[known], cost])))
    everyone = np.flatnonzero(known)
    whole = runs.volume(everyone)
    return {
        "of": int(known.sum()),
        "tau_own": tau(cost, own),
        "tau": tau(cost, true),
        "tau_low": low,
        "tau_high": high,
        "spearman": spearman(cost, true),
        "spearman_top": spearman(cost[best_third], true[best_third]),
        "front": len(true_front),
        "recall": float(np.isin(true_front, chosen).mean()),
        "recall_near": nearly_kept(runs.parameters[known], true, true_front, chosen),
        "kept": runs.volume(everyone[chosen]) / whole if whole else float("nan"),
        "regret": float(true[cost.argmin()] - true.min()),
    }


def nearly_kept(parameters: np.ndarray, true: np.ndarray, front: np.ndarray, chosen: np.ndarray) -> float:
    """Share of the front's members beside which a chosen one, no larger, has a score within MARGIN."""
    small = parameters[chosen][None] <= parameters[front][:, None]
    near = true[chosen][None] <= true[front][:, None] + MARGIN + 1e-12
    return float((small & near).any(axis=1).mean())


def tau(one: np.ndarray, other: np.ndarray) -> float:
    """Kendall's tau-b; NaN where one of the two never varies."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(kendalltau(one, other).statistic)


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation; NaN where one of the two never varies."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(spearmanr(one, other).statistic)


def tau_interval(one: np.ndarray, other: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of tau-b over resampled configurations; a drawn twin is no pair with itself.

    tau-b of a resample from the matrices of signs (N, N), so that 400 of them take a fraction of a second.
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
    return tuple(np.percentile(found, [2.5, 97.5]).tolist())
