"""Made-up studies whose truth is known: rows of shared difficulty, seeds that move configurations, right and wrong answers.

A configuration answers a row rightly where a latent number is above a threshold:

    z[c, s, r] = difficulty[r] + own[c, r] + rest[c, s, r] + seed[c, s],    right = z > -threshold[c]

`difficulty` is shared by all configurations, `own` by the seeds of one. Their variances are such that two seeds of a
configuration disagree on about 9 % of the rows at an accuracy of .8 and two configurations on 12 %, as fine-tuned
models of a few million parameters do. The truth, the expectation over rows and seeds, is exact: Phi of the scaled
threshold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

DIFFICULTY, OWN = 0.85, 0.07  # of the latent variance of 1; what remains is drawn anew for every run
SHARED = 0.3  # of the variance of seeds, by all configurations trained with the same seed


@dataclass(frozen=True)
class World:
    """Latent numbers of many studies, from which cells of any accuracy and any spread over seeds are cut.

    Attributes:
        rows: difficulty, own and rest together, (R, C, S, N).
        seeds: standard normal, partly shared by configurations, (R, C, S).
    """

    rows: np.ndarray
    seeds: np.ndarray

    def right(self, accuracies: Sequence[float], spreads: Sequence[float]) -> np.ndarray:
        """Which answers are right, (R, C, S, N).

        Args:
            accuracies: the truth of each configuration, (C,).
            spreads: standard deviation of its accuracy over seeds, (C,).
        """
        z = ndtri(np.array(accuracies))
        latent = np.array(spreads) / (np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
        level = (z * np.sqrt(1 + latent**2))[:, None] + self.seeds * latent[:, None]
        return self.rows > -level[..., None].astype(np.float32)


def drawn(studies: int, configurations: int, seeds: int, rows: int, generator: np.random.Generator) -> World:
    """Draw the latent numbers of R studies."""

    def normal(*shape: int) -> np.ndarray:
        return generator.standard_normal((studies, *shape), dtype=np.float32)

    rest = 1 - DIFFICULTY - OWN
    z = normal(configurations, seeds, rows) * np.sqrt(rest, dtype=np.float32)
    z += (normal(1, 1, rows) * np.sqrt(DIFFICULTY) + normal(configurations, 1, rows) * np.sqrt(OWN)).astype(np.float32)
    moved = normal(1, seeds) * np.sqrt(SHARED) + normal(configurations, seeds) * np.sqrt(1 - SHARED)
    return World(z, moved)


def chunks(studies: int, *shape: int, seed: int = 0) -> Iterator[World]:
    """Worlds of `studies` studies together, in pieces that fit into a processor's memory."""
    generator = np.random.default_rng([seed, *shape])
    most = max(1, 4_000_000 // int(np.prod(shape)))
    for start in range(0, studies, most):
        yield drawn(min(most, studies - start), *shape, generator)


def other_split(world: World, generator: np.random.Generator) -> World:
    """The same runs on other rows."""
    studies, configurations, seeds, rows = world.rows.shape
    return World(drawn(studies, configurations, seeds, rows, generator).rows, world.seeds)
