"""Configuration -> the parameters that sample it: the inverse of `SearchSpace.sample`."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration, Scalar
from autopeft.methods import get_method
from autopeft.procedures import get_procedure
from autopeft.space.branch import Branch
from autopeft.space.search_space import SearchSpace
from autopeft.space.setting_values import OFF


class InverseSuggester:
    """A Suggester that takes what a configuration says, and keeps the parameters and Optuna's distributions of them.

    A parameter in `optional` is left out where the space does not allow its value.
    """

    def __init__(self, branch: str, configuration: Configuration, optional: Collection[str] = ()) -> None:
        self.parameters: dict[str, Scalar] = {}
        self.distributions: dict[str, BaseDistribution] = {}
        self._branch, self._configuration, self._optional = branch, configuration, optional

    def suggest_categorical(
        self, name: str, choices: tuple, allowed: tuple, weights: Mapping[Any, float] | None = None
    ) -> Any:
        """Return the configuration's own value.

        Args:
            name: the parameter's name, as Optuna stores it.
            choices: every value that the parameter can have, the same in all trials.
            allowed: those that keep to the limits after what was chosen before.
            weights: the prior over the values; uniform if None.

        Raises:
            AutopeftError: the space does not allow the configuration's value.
        """
        value = self._wanted(name, allowed)
        if value not in allowed and name in self._optional:
            return value  # its trial has no such parameter
        if value is None or value not in allowed:
            raise AutopeftError(f"{self._configuration} is not in this space: {name} is not one of {allowed}.")
        ordered = name == "frozen_layers"  # as the study asks for it
        self.distributions[name] = (
            IntDistribution(choices[0], choices[-1]) if ordered else CategoricalDistribution(choices)
        )
        self.parameters[name] = value
        return value

    def _wanted(self, name: str, allowed: tuple) -> Scalar | None:
        if name == "method":
            return self._branch
        if name == "frozen_layers":
            return self._configuration.frozen_layers
        if name == "procedure":
            return self._configuration.procedure
        if name.startswith("layer."):
            return int(name.split(".")[1]) in self._configuration.layers
        part, setting = name.split(".", 1)
        if part == self._configuration.procedure:
            return dict(self._configuration.procedure_settings).get(setting)
        if part in self._configuration.methods:
            return self._configuration.settings_of(part).get(setting)
        return 0 if setting in OFF and 0 in allowed else allowed[0]  # a combination's part that is off

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """The configuration's learning rate, before what its procedure makes of it.

        Args:
            name: the parameter's name, as Optuna stores it.
            low: the lower end of the range.
            high: the upper end.
        """
        self.distributions[name] = FloatDistribution(low, high, log=True)
        factor = get_procedure(self._configuration.procedure).learning_rate_factor
        rate = float(np.clip(self._configuration.learning_rate / factor, low, high))
        self.parameters[name] = rate
        return rate


def completed(configuration: Configuration) -> Configuration:
    """A stored configuration -> with the settings that are younger than it, at what it means without them."""
    settings = dict(configuration.settings)
    for name in configuration.methods:
        prefix = f"{name}." if "+" in configuration.method else ""
        settings = {prefix + k: v for k, v in get_method(name).absent.items()} | settings
    return replace(configuration, settings=tuple(sorted(settings.items())))


def branch_of(space: SearchSpace, configuration: Configuration) -> Branch:
    """The branch that makes a configuration. Raises AutopeftError when the space has none."""
    names = {b.name: b for b in space.branches}
    found = names.get(configuration.method) or names.get("combination")
    if found is None or not set(configuration.methods) <= {*found.parts, "head_only"}:
        raise AutopeftError(f"{configuration} is not in space '{space.name}': it has no method {configuration.method}.")
    return found


def parameters_of(space: SearchSpace, configuration: Configuration, stored: bool = False) -> InverseSuggester:
    """The parameters and distributions with which a space samples a configuration.

    Args:
        space: that makes it.
        configuration: what is followed.
        stored: it is the row of a benchmark: settings that are younger than it are no parameters of its trial where
            the space does not hold what it means without them.

    Raises:
        AutopeftError: the space cannot make this configuration.
    """
    whole = completed(configuration)
    younger = {name for name, _ in whole.settings} - {name for name, _ in configuration.settings} if stored else ()
    optional = [name if "." in name else f"{whole.method}.{name}" for name in younger]
    suggester = InverseSuggester(branch_of(space, whole).name, whole, optional)
    made = space.sample(suggester)
    if replace(made, learning_rate=0.0) != replace(whole, learning_rate=0.0):
        raise AutopeftError(f"{configuration} is not in space '{space.name}': the nearest it has is {made}.")
    return suggester
