"""An Optuna sampler that asks another one, keeps to what the limits allow and starts from the layer prior.

Optuna's distributions stay fixed (so its tools read the study); what is allowed at a step is decided by counting. A
proposal outside the allowed values is replaced by one inside, so no ask is ever wasted on a configuration over budget.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override

from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.space.default_configurations import RATE
from autopeft.study.excerpt import excerpt
from autopeft.study.stored import ended

STARTUP = 10  # complete trials before the inner sampler chooses the method
KNOWN = 4  # complete trials that have a parameter before the inner sampler chooses its value
PRIOR = 0.25  # share of the later draws of a layer parameter that still come from the layer prior
RATE_SPREAD = 0.15  # standard deviation of a drawn learning rate, as a share of its range's logarithm
RETRIES = 8  # proposals asked of the inner sampler before an allowed value is drawn instead

MULTITASK_GP = "multitask-gp"


def tpe(seed: int) -> BaseSampler:
    """TPE that treats parameters one by one."""
    return optuna.samplers.TPESampler(seed=seed, multivariate=False, n_startup_trials=STARTUP)


SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": tpe,
    "tpe-multivariate": lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=STARTUP),
    "tpe-group": lambda seed: optuna.samplers.TPESampler(
        seed=seed, multivariate=True, group=True, n_startup_trials=STARTUP
    ),
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=STARTUP),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    MULTITASK_GP: tpe,  # where it proposes nothing
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed, n_startup_trials=STARTUP),
}


def check_sampler(name: str) -> None:
    """Raise AutopeftError with the nearest name if there is no such sampler."""
    if name not in SAMPLERS:
        raise AutopeftError(f"Unknown sampler '{name}'." + did_you_mean(name, SAMPLERS))


class LimitedSampler(BaseSampler):
    """Wraps a sampler by name; `seed` fixes every draw of one ask, so a resumed study asks what it would have asked."""

    def __init__(self, name: str, seed: int) -> None:
        check_sampler(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._inner = SAMPLERS[name](seed)
        self._by_prior_only, self._by_generations = name == "random", name == "nsga2"
        self._seed, self._shown = seed, dict[int, tuple[optuna.Study, list[FrozenTrial]]]()
        self._generator = np.random.default_rng(seed)
        self._proposed: dict[str, object] = {}
        self._allowed: dict[str, tuple] = {}
        self._weights: dict[str, Mapping[Any, float]] = {}
        self.replaced = 0  # proposals that had to be replaced

    def restrict(self, name: str, allowed: tuple, weights: Mapping[Any, float] | None) -> None:
        """Say which values the next suggestion of this parameter may take, and its prior.

        Args:
            name: the parameter's name.
            allowed: the values that keep to the limits.
            weights: the prior over its values; uniform if None.
        """
        self._allowed[name] = allowed
        if weights:
            self._weights[name] = weights

    @override
    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._inner.infer_relative_search_space(self._excerpt(study, trial), trial)

    @override
    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Keep the inner sampler's joint proposal aside: every value of it is checked when its parameter is asked for."""
        self._proposed = self._inner.sample_relative(self._excerpt(study, trial), trial, search_space)
        return {}

    @override
    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        by_prior = self._by_prior_only or self._is_new(study, trial, param_name)
        shown = self._excerpt(study, trial)
        if isinstance(param_distribution, FloatDistribution):
            if by_prior:
                return self._draw_rate(param_distribution)
            return self._proposed.get(param_name) or self._inner.sample_independent(
                shown, trial, param_name, param_distribution
            )
        allowed = self._allowed[param_name]
        if by_prior or (param_name in self._weights and self._generator.random() < PRIOR):
            return self._draw(study, param_name, allowed)
        if self._proposed.get(param_name) in allowed:
            return self._proposed[param_name]
        for _ in range(RETRIES):
            value = self._inner.sample_independent(shown, trial, param_name, param_distribution)
            if value in allowed:
                return value
            self.replaced += 1
        return self._draw(study, param_name, allowed)

    def _observed(self, study: optuna.Study, trial: FrozenTrial) -> tuple[optuna.Study, list[FrozenTrial]]:
        """What the inner sampler is shown of the study, and the trials that were trained; looked up once for a trial."""
        if trial.number not in self._shown:
            trained = observed_trials(study)
            shown = study if self._by_generations else excerpt(study, trained, self._seed)
            self._shown = {trial.number: (shown, trained)}
        return self._shown[trial.number]

    def _excerpt(self, study: optuna.Study, trial: FrozenTrial) -> optuna.Study:
        return self._observed(study, trial)[0]

    def _is_new(self, study: optuna.Study, trial: FrozenTrial, name: str) -> bool:
        """Whether too few trials have this parameter: from one or two, a sampler only learns to keep away from them."""
        seen = (t for t in self._observed(study, trial)[1] if name in t.params)
        enough = STARTUP if name == "method" else KNOWN
        return sum(1 for _ in islice(seen, enough)) < enough

    def _draw_rate(self, distribution: FloatDistribution) -> float:
        """A learning rate around the default configuration's, normal on the log scale and cut off at the ends of the range."""
        at = np.clip(self._generator.normal(RATE, RATE_SPREAD), 0, 1)
        return float(
            np.clip(
                distribution.low * (distribution.high / distribution.low) ** at, distribution.low, distribution.high
            )
        )

    def _draw(self, study: optuna.Study, name: str, allowed: tuple) -> Any:
        """By the prior; methods in turn, so that each is tried once before any is tried twice."""
        if name == "method":
            tried = Counter(t.params.get("method") for t in ended(study))
            fewest = min(tried[m] for m in allowed)
            allowed = tuple(m for m in allowed if tried[m] == fewest)
        weights = np.array([self._weights.get(name, {}).get(v, 1.0) for v in allowed], dtype=float)
        return allowed[self._generator.choice(len(allowed), p=weights / weights.sum())]

    @override
    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._inner.before_trial(study, trial)

    @override
    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._inner.after_trial(study, trial, state, values)


class TrialSuggester:
    """A space's Suggester that asks an Optuna trial."""

    def __init__(self, trial: optuna.Trial, sampler: LimitedSampler) -> None:
        self._trial, self._sampler = trial, sampler

    def suggest_categorical(
        self, name: str, choices: tuple, allowed: tuple, weights: Mapping[Any, float] | None = None
    ) -> Any:
        """Suggest one of the allowed values.

        Args:
            name: the parameter's name, as Optuna stores it.
            choices: every value that the parameter can have, the same in all trials.
            allowed: those that keep to the limits after what was chosen before.
            weights: the prior over the values; uniform if None.
        """
        self._sampler.restrict(name, allowed, weights)
        if name == "frozen_layers":  # ordered: neighbours are alike
            return self._trial.suggest_int(name, choices[0], choices[-1])
        return self._trial.suggest_categorical(name, choices)

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """Suggest a number, on a log scale.

        Args:
            name: the parameter's name, as Optuna stores it.
            low: the lower end of the range.
            high: the upper end.
        """
        return self._trial.suggest_float(name, low, high, log=True)


class SearchSuggester(TrialSuggester):
    """The same, but the learning rate is left to the trial's first steps, unless it was queued with the trial.

    Attributes:
        rate_given: whether it was queued.
    """

    def __init__(self, trial: optuna.Trial, sampler: LimitedSampler) -> None:
        super().__init__(trial, sampler)
        self._queued = trial.study.get_trials(deepcopy=False)[trial.number].system_attrs.get("fixed_params", {})
        self.rate_given = False

    @override
    def suggest_float(self, name: str, low: float, high: float) -> float:
        if name not in self._queued:
            return low
        self.rate_given = True
        return super().suggest_float(name, low, high)


def observed_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that were trained, to the end or to a rung where they were stopped."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
