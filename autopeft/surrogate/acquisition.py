"""What a study has seen and still may try -> what is expected to add most to its front."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autopeft.surrogate.gain_model import STOPPED, GainModel, Witness
from autopeft.surrogate.improvement import Fronts, greedy

DRAWS = 64
DECADES = 3.0  # of the cost below the budget that count


def best_additions(
    model: GainModel,
    offered: Sequence[Witness],
    seen: Sequence[Witness],
    running: Sequence[Witness],
    largest: float,
    seed: int,
    number: int = 1,
) -> list[int]:
    """The places of what adds most to the mean hypervolume, over draws of what everything gains, each after those before it.

    Args:
        model: of the gains.
        offered: what may be tried.
        seen: what was trained, with what it gained.
        running: what still trains: in each draw it is on the front with what it gains there.
        largest: the logarithm of the largest cost that counts.
        seed: of the draws.
        number: how many are wanted.
    """
    asked = [*offered, *seen, *running]
    draws, costs = model.draws(asked, DRAWS, seed, seen), np.array([w.size for w in asked])
    fronts = Fronts(draws, costs, largest - DECADES, largest)
    for known in range(len(offered), len(asked)):
        fronts.add(known)
    return greedy(fronts, len(offered), number)


def on_the_models_scale(
    model: GainModel, trained: Sequence[Witness], scores: Sequence[float], whole: Sequence[bool]
) -> list[Witness]:
    """What was trained, with its score as a gain.

    A study knows neither the linear probe's score nor how much there is to gain: its scores are shifted and stretched
    until they have the mean and the standard deviation that the model expects of these configurations.

    Args:
        model: of the gains.
        trained: at least one configuration.
        scores: of each, higher is better.
        whole: whether each was trained to the end, and not stopped on the way.
    """
    expected, found = model.expected(trained), np.array(scores)
    spread = found.std()
    gains = expected.mean() + (found - found.mean()) * (expected.std() / spread if spread > 0 else 0.0)
    noise = (1.0 if to_the_end else STOPPED for to_the_end in whole)
    return [replace(w, gain=float(gain), noise=n) for w, gain, n in zip(trained, gains, noise)]
