"""Training rows -> the few that trials are trained on: which ones, by name.

Finalists and baselines are always trained on all rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.tasks.splits import stratified_order
from autopeft.tasks.tokens import TokenisedTask

if TYPE_CHECKING:
    from autopeft.backbone.loading import Backbone


BINS = 50  # of equal width over the scores' range, as in DEALRec


def proxy_rows(choice: str, backbone: Backbone, tokenised: TokenisedTask, number: int, seed: int) -> np.ndarray:
    """The rows that trials are trained on.

    Args:
        choice: a name in CHOICES.
        backbone: read by the choices that need the model's states.
        tokenised: the task.
        number: about how many units of the train split; all of them where there are no more.
        seed: of whatever is drawn.

    Returns:
        Row numbers (N,), ascending.

    Raises:
        AutopeftError: there is no such choice.
    """
    if choice not in CHOICES:
        raise AutopeftError(f"Unknown choice of rows '{choice}'." + did_you_mean(choice, CHOICES))
    split = tokenised.train
    if number >= split.number_of_units:
        return np.arange(len(split))
    return split.expand(np.sort(CHOICES[choice](backbone, tokenised, number, seed)))


def random_units(backbone: Backbone, tokenised: TokenisedTask, number: int, seed: int) -> np.ndarray:
    """Draw units uniformly."""
    return np.random.default_rng(seed).permutation(tokenised.train.number_of_units)[:number]


def stratified_units(backbone: Backbone, tokenised: TokenisedTask, number: int, seed: int) -> np.ndarray:
    """Draw units so that every class has its share."""
    return stratified_order(pd.Series(strata_of_units(tokenised)), seed)[:number]


def influential_units(backbone: Backbone, tokenised: TokenisedTask, number: int, seed: int) -> np.ndarray:
    """DEALRec (Lin et al. 2024, arXiv 2401.17197): influence plus effort, then bins of the scores drawn from evenly.

    Influence and effort are each brought to mean 0 and deviation 1 and added, which is our choice.
    """
    from autopeft.proxy.subset_scores import effort, influence

    scores = sum(
        (s - s.mean()) / max(s.std(), 1e-12) for s in (influence(backbone, tokenised), effort(backbone, tokenised))
    )
    return from_bins(per_unit(tokenised, scores), number, seed)


def transported_units(backbone: Backbone, tokenised: TokenisedTask, number: int, seed: int) -> np.ndarray:
    """GOT-D (Kang et al. 2024, arXiv 2405.02774): the rows that draw the train split nearest to the validation split."""
    from autopeft.proxy.subset_scores import transport_gradient

    return np.argsort(per_unit(tokenised, transport_gradient(backbone, tokenised)), kind="stable")[:number]


CHOICES: dict[str, Callable[..., np.ndarray]] = {
    "random": random_units,
    "stratified": stratified_units,
    "influence": influential_units,
    "transport": transported_units,
}


def from_bins(scores: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Scores (N,) -> `number` places: bins of equal width share what is to be drawn, the emptiest bin served first."""
    generator = np.random.default_rng(seed)
    edges = np.linspace(scores.min(), scores.max(), BINS + 1)[1:-1]
    members = [np.flatnonzero(np.digitize(scores, edges) == b) for b in range(BINS)]
    members = sorted((m for m in members if len(m)), key=len)
    drawn: list[np.ndarray] = []
    for place, own in enumerate(members):
        share = -(-(number - sum(map(len, drawn))) // (len(members) - place))
        drawn.append(generator.permutation(own)[:share])
    return np.concatenate(drawn)[:number]


def strata_of_units(tokenised: TokenisedTask) -> np.ndarray:
    """The class of each unit: that of its first row."""
    split, strata = tokenised.train, tokenised.kind.strata(tokenised.train)
    return strata if split.groups is None else strata[np.unique(split.groups, return_index=True)[1]]


def per_unit(tokenised: TokenisedTask, scores: np.ndarray) -> np.ndarray:
    """Scores of rows (N,) -> their means over each unit."""
    groups = tokenised.train.groups
    return scores if groups is None else np.bincount(groups, scores) / np.bincount(groups)
