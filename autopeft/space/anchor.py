"""SearchSpace -> one well-known configuration per method, to begin with. Imports no torch."""

from autopeft.configuration import Scalar
from autopeft.methods import get_method
from autopeft.space.branch import Branch
from autopeft.space.search_space import SearchSpace

RATE = 0.6  # where in a method's learning-rate range, on a log scale: short runs want more than the middle


class Anchor:
    """A Chooser that takes a method's defaults on as many layers as it can, shrunk until the budget is met."""

    def __init__(self, branch: Branch):
        self.parameters: dict[str, Scalar] = {}
        self._method = branch.name
        self._defaults = {name: get_method(branch.parts[0]).defaults.get(name) for name, _ in branch.choices}

    def choice(self, name: str, choices: tuple, allowed: tuple, weights: dict | None = None) -> Scalar:
        self.parameters[name] = self._wanted(name, allowed)
        return self.parameters[name]

    def _wanted(self, name: str, allowed: tuple) -> Scalar:
        if name == "method":
            return self._method
        if name == "procedure":
            return "plain"
        if name == "frozen_layers":
            return min(allowed)
        if name.startswith("layer."):
            return max(allowed)
        default = self._defaults.get(name.split(".", 1)[1])
        if default in allowed:
            return default
        smaller = [v for v in allowed if type(v) is type(default) and not isinstance(v, str) and v <= default]
        return max(smaller, default=allowed[0])

    def log_uniform(self, name: str, low: float, high: float) -> float:
        self.parameters[name] = low * (high / low) ** RATE
        return self.parameters[name]


def anchors(space: SearchSpace) -> list[dict[str, Scalar]]:
    """The parameters of each affordable method's anchor, in the order of the space's file (none for a combination)."""
    found = []
    for branch in space.affordable():
        if len(branch.parts) == 1:
            chooser = Anchor(branch)
            space.walk(chooser)
            found.append(chooser.parameters)
    return found
