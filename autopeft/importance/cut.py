"""Deviation per layer -> gains, the cut, the predicted saving and bootstrap intervals.

Every formula here is our own definition: none is the published gain equation.
"""

import numpy as np

FLAT = 1e-3  # a deviation that moves by less than this over all layers says nothing about where to cut
SMALLEST = 1e-12  # keeps logarithms finite


def gains(deviation: np.ndarray, cumulative_parameters: np.ndarray) -> dict[str, np.ndarray]:
    """Deviation (..., L + 1) and parameters up to each layer (L + 1,) -> {"raw", "log", "scaling"}, each (..., L).

    raw: D_(k-1) - D_k. log: ln D_(k-1) - ln D_k. scaling: log over ln N_k - ln N_(k-1), the local exponent of D ~ N^-a.
    """
    logarithm = -np.diff(np.log(np.maximum(deviation, SMALLEST)), axis=-1)
    growth = np.diff(np.log(np.asarray(cumulative_parameters, dtype=float)))
    return {"raw": -np.diff(deviation, axis=-1), "log": logarithm, "scaling": logarithm / growth}


def is_flat(deviation: np.ndarray) -> bool:
    """True if the deviation (L + 1,) falls nowhere, or by too little over all layers to tell them apart."""
    return bool((np.diff(deviation) >= 0).all() or np.ptp(deviation) < FLAT)


def cut_at(gain: np.ndarray, min_trained: int = 1, max_trained: int | None = None, fill: bool = False) -> int:
    """Choose how many blocks to freeze: through that of the largest gain, none if no gain is positive.

    Args:
        gain: of each block, (L,).
        min_trained: blocks at the top that are always trained.
        max_trained: B, None for no limit: at least L - B are frozen.
        fill: freeze exactly L - B, as far as min_trained allows.

    Returns:
        The number of frozen blocks, 0 to L - min_trained.
    """
    layers = len(gain)
    deepest = max(0, layers - min_trained)
    cut = int(np.argmax(gain)) + 1 if np.max(gain) > 0 else 0
    if max_trained is not None:
        floor = max(0, layers - max_trained)
        cut = floor if fill else max(cut, floor)
    return min(cut, deepest)


def saving(cut: int, layers: int) -> float:
    """Share of a step spared by freezing `cut` of L blocks: backward is two thirds of a step, forward stays."""
    return 2 / 3 * cut / layers


def budget_curve(deviation: np.ndarray, gain: np.ndarray) -> list[dict]:
    """For each largest number of trained layers B: the cut, the relative step cost, and the deviation left above it."""
    layers, rows = len(gain), []
    for most in range(1, layers + 1):
        cut = cut_at(gain, 1, most)
        rows.append(
            {
                "max_trained": most,
                "cut": cut,
                "step_cost": 1 - saving(cut, layers),
                "remaining_deviation": float(deviation[cut + 1 :].sum()),
            }
        )
    return rows


def bootstrap(per_position: np.ndarray, weights: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Resample positions with replacement and average them.

    Args:
        per_position: deviations, (N, L + 1).
        weights: of the positions in the mean, (N,).
        resamples: how many.
        seed: of the draws.

    Returns:
        Weighted means of resampled positions, (resamples, L + 1).
    """
    count = len(weights)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples) * weights
    return drawn @ per_position / drawn.sum(axis=1, keepdims=True)


def interval(resampled: np.ndarray) -> list[list[float]]:
    """(resamples, K) -> K pairs: the 2.5th and 97.5th percentile."""
    return np.percentile(resampled, [2.5, 97.5], axis=0).T.tolist()
