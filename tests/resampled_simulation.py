"""Metrics that are no means over rows, resampled as in a run, in simulated studies."""

from collections import defaultdict

import numpy as np
from interval_simulation import SEEDS, Gap, Shares, averaged, over_seeds_only
from simulated_studies import World, chunks

from autopeft.front.crossed import variance_of_difference, variance_of_mean
from autopeft.tasks.metrics import macro_f1, pearson
from autopeft.tasks.unit_metrics import FromSums
from autopeft.tasks.unit_scores import resamples


def resampled_metric(name: str, rows: int, studies: int, spread: float = 0.008) -> dict[tuple, Shares]:
    """Macro-F1 of three unequal classes, or a correlation: two equal configurations, resampled as in a run."""
    generator, found = np.random.default_rng(3), defaultdict(list)
    counts = np.stack([np.bincount(drawn, minlength=rows) for drawn in resamples(rows)]).astype(np.float32)
    worlds = chunks(studies, 2, SEEDS[-1], rows, seed=3)
    scored = [scores_and_resamples(*MADE[name](world, spread, generator), counts) for world in worlds]
    scores, values = (np.concatenate(x) for x in zip(*scored))
    truth = scores.mean()  # of 10 times as many runs as there are studies
    for seeds in SEEDS:
        (a, b), (x, y) = ((z[:, 0, :seeds], z[:, 1, :seeds]) for z in (scores, values))
        mean = Gap(a.mean(-1) - truth, variance_of_mean(a, x, True))
        gap = Gap((a - b).mean(-1), variance_of_difference(a, b, x, y, True))
        old = over_seeds_only(a)
        found[rows, name, spread, seeds].append(
            {
                "estimate": ~mean.beyond(),
                "type I": gap.beyond(),
                "old estimate": np.abs(old.mean - truth) <= old.half(),
                "old type I": over_seeds_only(a, b).beyond(),
            }
        )
    return averaged(found)


def scores_and_resamples(
    metric: FromSums, references: np.ndarray, predictions: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """References (R, N), predictions (R, C, S, N) -> scores (R, C, S) and values on resamples (R, C, S, B)."""
    numbers = np.array(
        [
            [[metric.numbers(true, said) for said in configuration] for configuration in study]
            for true, study in zip(references, predictions)
        ]
    )
    return metric.value(numbers.sum(-2)), metric.value(np.einsum("bn,rcsnk->rcsbk", counts, numbers, optimize=True))


def classes(world: World, spread: float, generator: np.random.Generator) -> tuple[FromSums, np.ndarray, np.ndarray]:
    """Three classes, six, three and one in ten; 80 % of the rows are right."""
    right = world.right((0.8, 0.8), (spread, spread))
    studies, rows = len(right), right.shape[-1]
    true = generator.choice(3, size=(studies, rows), p=(0.6, 0.3, 0.1))
    true[:, :3] = range(3)  # each class is there
    wrong = (true + generator.integers(1, 3, size=(studies, rows))) % 3
    return macro_f1, true, np.where(right, true[:, None, None], wrong[:, None, None])


def values(world: World, spread: float, generator: np.random.Generator) -> tuple[FromSums, np.ndarray, np.ndarray]:
    """Numbers, and predictions that are noisier with some seeds than with others; a correlation of about .8."""
    studies, _, _, rows = world.rows.shape
    true = generator.standard_normal((studies, rows))
    noise = 0.75 + 3 * spread * world.seeds[..., None]
    return pearson, true, true[:, None, None] + noise * world.rows


MADE = {"macro-f1": classes, "pearson": values}
