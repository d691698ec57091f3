"""Configuration -> the parameters with which the walk makes it: the walk's inverse. Imports no torch."""

from dataclasses import replace

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration, Scalar
from autopeft.procedures import get_procedure
from autopeft.space.branch import SIZES, Branch
from autopeft.space.search_space import SearchSpace


class Follow:
    """A Chooser that takes what a configuration says, and keeps the parameters and Optuna's distributions of them."""

    def __init__(self, branch: str, configuration: Configuration):
        self.parameters: dict[str, Scalar] = {}
        self.distributions: dict = {}
        self._branch, self._configuration = branch, configuration

    def choice(self, name: str, choices: tuple, allowed: tuple, weights: dict | None = None) -> Scalar:
        value = self._wanted(name, allowed)
        if value not in allowed:
            raise AutopeftError(f"{self._configuration} is not in this space: {name} is not one of {allowed}.")
        ordered = name == "frozen_layers"  # as the study asks for it
        self.distributions[name] = (
            IntDistribution(choices[0], choices[-1]) if ordered else CategoricalDistribution(choices)
        )
        self.parameters[name] = value
        return value

    def _wanted(self, name: str, allowed: tuple) -> Scalar:
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
        return 0 if setting in SIZES and 0 in allowed else allowed[0]  # a combination's part that is off

    def log_uniform(self, name: str, low: float, high: float) -> float:
        self.distributions[name] = FloatDistribution(low, high, log=True)
        factor = get_procedure(self._configuration.procedure).learning_rate_factor
        self.parameters[name] = float(np.clip(self._configuration.learning_rate / factor, low, high))
        return self.parameters[name]


def branch_of(space: SearchSpace, configuration: Configuration) -> Branch:
    """The branch that makes a configuration. Raises AutopeftError when the space has none."""
    names = {b.name: b for b in space.branches}
    found = names.get(configuration.method) or names.get("combination")
    if found is None or not set(configuration.methods) <= {*found.parts, "head_only"}:
        raise AutopeftError(f"{configuration} is not in space '{space.name}': it has no method {configuration.method}.")
    return found


def follow(space: SearchSpace, configuration: Configuration) -> Follow:
    """The inverse of the walk. Raises AutopeftError when the walk cannot make this configuration."""
    chooser = Follow(branch_of(space, configuration).name, configuration)
    made = space.walk(chooser)
    if replace(made, learning_rate=0.0) != replace(configuration, learning_rate=0.0):
        raise AutopeftError(f"{configuration} is not in space '{space.name}': the nearest it has is {made}.")
    return chooser
