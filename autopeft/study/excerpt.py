"""A long study -> what its sampler is shown of it: the best trials and a sample of the others.

TPE sorts every trial for each parameter that it suggests, and a Gaussian process inverts a matrix of all of them: after
thousands of trials that takes longer than a training. The trials that TPE takes for good ones are a few of the best;
the others only say where trials lie.
"""

from collections.abc import Container, Sequence

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override

from autopeft.base.pareto import ranks

MOST = 400  # trials that a sampler is shown
BEST = 100  # of them at least, by non-dominated rank; TPE takes 25 for good


def excerpt(study: optuna.Study, trials: Sequence[FrozenTrial], seed: int) -> optuna.Study:
    """The study with at most MOST of its trials.

    Args:
        study: of any length.
        trials: those of it that were trained, to the end or in part.
        seed: of the sample.
    """
    if len(trials) <= MOST:
        return study
    whole = [i for i, t in enumerate(trials) if t.state == TrialState.COMPLETE]
    signs = [-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in study.directions]
    costs = np.array([trials[i].values for i in whole], dtype=float).reshape(len(whole), len(signs)) * signs
    best = [whole[place] for place in np.argsort(ranks(costs), kind="stable")[:BEST]]
    others = np.setdiff1d(np.arange(len(trials)), best)
    drawn = np.random.default_rng(seed).choice(others, MOST - len(best), replace=False)
    return Excerpt(study, [trials[i] for i in sorted([*best, *map(int, drawn)])])


class Excerpt(optuna.Study):
    """A study of which only some trials are shown.

    Args:
        study: whose storage it shares.
        shown: its trials.
    """

    def __init__(self, study: optuna.Study, shown: Sequence[FrozenTrial]) -> None:
        self.__dict__.update(vars(study))
        self._shown = list(shown)

    @override
    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        return [t for t in self._shown if states is None or t.state in states]
