"""SearchSpace -> one well-known configuration per method, with which a study begins."""

from collections.abc import Mapping
from typing import Any

from autopeft.configuration import Configuration, Scalar
from autopeft.methods import get_method
from autopeft.space.branch import Branch
from autopeft.space.search_space import SearchSpace

RATE = 0.6  # where in a method's learning-rate range, on a log scale: short runs want more than the middle


class DefaultSuggester:
    """A Suggester that takes a method's defaults on as many layers as it can, shrunk until the limits are kept to."""

    def __init__(self, branch: Branch) -> None:
        self.parameters: dict[str, Scalar] = {}
        self._method = branch.name
        self._defaults = {name: get_method(branch.parts[0]).defaults.get(name) for name, _ in branch.choices}

    def suggest_categorical(
        self, name: str, choices: tuple, allowed: tuple, weights: Mapping[Any, float] | None = None
    ) -> Any:
        """The default where it is allowed, else the nearest smaller value.

        Args:
            name: the parameter's name, as Optuna stores it.
            choices: every value that the parameter can have, the same in all trials.
            allowed: those that keep to the limits after what was chosen before.
            weights: the prior over the values; uniform if None.
        """
        self.parameters[name] = self._wanted(name, allowed)
        return self.parameters[name]

    def _wanted(self, name: str, allowed: tuple) -> Any:
        if name == "method":
            return self._method
        if name == "procedure":
            return "plain"
        if name == "frozen_layers":
            return min(allowed)
        if name.startswith("layer."):
            return max(allowed)
        default: Any = self._defaults.get(name.split(".", 1)[1])
        if default in allowed:
            return default
        smaller: list[Any] = [
            v for v in allowed if type(v) is type(default) and not isinstance(v, str) and v <= default
        ]
        return max(smaller, default=allowed[0])

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """A learning rate somewhat above the middle of its range.

        Args:
            name: the parameter's name, as Optuna stores it.
            low: the lower end of the range.
            high: the upper end.
        """
        rate = low * (high / low) ** RATE
        self.parameters[name] = rate
        return rate


def default_parameters(space: SearchSpace) -> list[dict[str, Scalar]]:
    """The parameters of each method's default configuration, in the order of the space's file.

    Args:
        space: a space; methods of which nothing keeps to the limits, and a combination, have none.
    """
    return [parameters for parameters, _ in _defaults(space)]


def default_configurations(space: SearchSpace) -> list[Configuration]:
    """The default configurations themselves."""
    return [configuration for _, configuration in _defaults(space)]


def _defaults(space: SearchSpace) -> list[tuple[dict[str, Scalar], Configuration]]:
    found = []
    for branch in space.affordable():
        if len(branch.parts) == 1:
            suggester = DefaultSuggester(branch)
            configuration = space.sample(suggester)
            found.append((suggester.parameters, configuration))
    return found
