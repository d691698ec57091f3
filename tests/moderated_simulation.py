"""The spread over seeds, moderated by that of a study's other outcomes: what was tried and not taken."""

from collections import defaultdict

import numpy as np
from interval_simulation import FINALISTS, POWER_AT, SEEDS, UNIFORM, Gap, Shares, averaged, gap_of
from scipy.special import digamma, polygamma
from simulated_studies import chunks

from autopeft.front import crossed
from autopeft.front.crossed import Variance


def borrowed(rows: int, studies: int, accuracy: float = 0.8) -> dict[tuple, Shares]:
    """The spread over seeds as it is, and moderated by those of the study's other outcomes (Smyth 2004, eq. 3)."""
    found: dict[tuple, list] = defaultdict(list)
    count, spreads = len(FINALISTS) + 1, (*FINALISTS, UNIFORM)
    for world in chunks(studies, count, SEEDS[-1], rows, seed=4):
        equal = world.right((accuracy,) * count, spreads).astype(np.float32)
        above = world.right((accuracy + POWER_AT,) * count, spreads).astype(np.float32)
        for which in (0, len(FINALISTS) - 1):
            for seeds in SEEDS:
                cut, base = equal[:, :, :seeds], equal[:, -1, :seeds]
                moderated = gap_of(cut[:, which], base).mean, moderated_variance(cut, which)
                two = above[:, which, :seeds]
                with_two = np.concatenate([two[:, None], cut[:, 1:]], axis=1)
                none, some = Gap(*moderated), Gap(gap_of(two, base).mean, moderated_variance(with_two, 0))
                own = gap_of(two, base)
                found[rows, accuracy, spreads[which], seeds].append(
                    {
                        "type I": gap_of(cut[:, which], base).beyond(),
                        "power": own.mean > own.half(),
                        "moderated type I": none.beyond(),
                        "moderated power": some.mean > some.half(),
                    }
                )
    return averaged(found)


def moderated_variance(right: np.ndarray, which: int) -> Variance:
    """The variance of the difference of an outcome from the last, with spreads over seeds that all outcomes moderate."""
    scores = right.mean(-1, dtype=float)
    freedom = scores.shape[-1] - 1
    prior, center = prior_of(scores.var(-1, ddof=1), freedom)
    weight = 1 / (1 + freedom / prior)
    a, b = (weight * center + (1 - weight) * scores[:, at].var(-1, ddof=1) for at in (which, -1))
    df = np.minimum(prior + freedom, 1e6) * (a + b) ** 2 / (a**2 + b**2)
    values = right[:, which] - right[:, -1]
    return crossed._crossed(Variance(a + b, df), values, False, np.full(len(right), 1 / values.shape[-1] ** 2))


def prior_of(variances: np.ndarray, freedom: int) -> tuple[np.ndarray, np.ndarray]:
    """Variances (R, G) of the same degrees of freedom -> degrees of freedom and value (R,) of their prior (Smyth 2004)."""
    logs = np.log(np.maximum(variances, 1e-8)) - digamma(freedom / 2) + np.log(freedom / 2)
    excess = logs.var(-1, ddof=1) - polygamma(1, freedom / 2)
    grid = np.geomspace(0.05, 100, 2000)  # half of the prior's degrees of freedom; its trigamma falls
    half = np.interp(-np.maximum(excess, 1e-9), -polygamma(1, grid), grid)
    known = excess > 0
    center = np.exp(logs.mean(-1) + np.where(known, digamma(half) - np.log(half), 0))
    return np.where(known, 2 * half, np.inf), center
