"""The learning rates of new trials: several start together, and what the first of them show decides which one goes on."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from typing_extensions import override

from autopeft.configuration import Configuration
from autopeft.executor.order import Answer, Order
from autopeft.methods import learning_rates
from autopeft.procedures import get_procedure
from autopeft.proxy.job import Job
from autopeft.study.running import RunningTrial

SHARE = 8  # the full length is so many times as long as what rates are compared after
LEAST = 16  # steps that they are compared after, where the first rung is not lower


def compared_after(full_steps: int, first_rung: int) -> int:
    """Steps after which the rates of a trial are compared: an eighth of the length, but not too few of a short run."""
    return min(first_rung, max(full_steps // SHARE, LEAST))


def orders_of(trial: RunningTrial, job: Job, until: int, kept: Callable[[float], str]) -> list[Order]:
    """A trial's orders, one for each of its rates.

    Args:
        trial: that has not begun.
        job: its part up to the first rung.
        until: after how many steps its rates are compared.
        kept: rate -> where its state is kept.
    """
    made = [replace(trial.configuration, learning_rate=rate) for rate in trial.rates]
    return [Order(replace(job, configuration=c, until=until), keep=kept(c.learning_rate)) for c in made]


def chosen(trial: RunningTrial, results: Sequence[Answer]) -> tuple[RunningTrial, Answer]:
    """A trial with the rate whose validation loss is lowest, and what that run gave; the first failure if all failed.

    The rates, their losses and the configuration are kept with the Optuna trial.
    """
    losses = [r.curve.validation_loss[-1] if r.curve else float("inf") for r in results]
    best = losses.index(min(losses))
    configuration = replace(trial.configuration, learning_rate=trial.rates[best])
    trial.trial.set_user_attr("rates", [[rate, loss] for rate, loss in zip(trial.rates, losses)])
    trial.trial.set_user_attr("configuration", configuration.to_json())
    register(trial.trial, configuration)
    return replace(trial, configuration=configuration, rates=()), results[best]


def register(trial: optuna.Trial, configuration: Configuration) -> None:
    """Store a configuration's rate as a parameter of its Optuna trial, as a suggestion would have."""
    low, high = learning_rates(configuration.methods)
    rate = configuration.learning_rate / get_procedure(configuration.procedure).learning_rate_factor
    name = f"{trial.params['method']}.learning_rate"
    sampler, trial.study.sampler = trial.study.sampler, Given(rate)
    try:
        trial.suggest_float(name, min(low, rate), max(high, rate), log=True)
    finally:
        trial.study.sampler = sampler


class Given(BaseSampler):
    """Suggests one number."""

    def __init__(self, value: float) -> None:
        self._value = value

    @override
    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    @override
    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, float]:
        return {}

    @override
    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> float:
        return self._value
