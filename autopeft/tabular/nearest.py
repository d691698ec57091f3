"""Configuration -> the walk's parameters for it, and the nearest untried row of a table. Imports no torch."""

import numpy as np

from autopeft.configuration import Configuration, Scalar
from autopeft.procedures import get_procedure
from autopeft.space import SearchSpace
from autopeft.space.branch import Branch
from autopeft.space.follow import branch_of, follow


def position(space: SearchSpace, branch: Branch, configuration: Configuration) -> np.ndarray:
    """Where a configuration lies, so that the L1 distance of two is layers + settings + learning rate, each 0 to 1.

    In a space with procedures + 1 where these differ, + the mean over their settings (those of another lie at 0).

    Layers: Hamming / L. Settings, their mean: a size by the ratio of (1 + value), as a share of its range's logarithm;
    anything else 0 or 1. Learning rate: the ratio, as a share of its range's logarithm.
    """
    top = branch.shapes.num_layers
    found = [float(i in configuration.layers) / top for i in range(top)]
    for name, values in branch.choices:
        part, setting = name.split(".", 1) if "." in name else (branch.name, name)
        on = part in configuration.methods
        value = configuration.settings_of(part).get(setting) if on else 0
        found += [x / len(branch.choices) for x in place(value, values)]
    found += trained(space, configuration)
    low, high = branch.learning_rate
    rate = configuration.learning_rate / get_procedure(configuration.procedure).learning_rate_factor
    return np.array([*found, np.log(rate / low) / np.log(high / low)])


def trained(space: SearchSpace, configuration: Configuration) -> list[float]:
    """How a configuration is trained, among all the ways of the space."""
    own, found = dict(configuration.procedure_settings), []
    for name, choices in space.procedures.items():
        here = configuration.procedure == name
        found.append(0.5 * here)
        for setting, values in choices.items():
            at = place(own[setting] if here else values[0], values)
            found += [x * here / len(choices) for x in at]
    return [*found, 0.5 * (configuration.procedure == "plain")] if found else []


def place(value: Scalar, values: tuple) -> list[float]:
    """A value among its choices: one number for a size, half a one-hot vector for anything else."""
    if all(isinstance(v, int | float) and not isinstance(v, bool) and v >= 0 for v in values):
        span = np.log1p(max(values)) - np.log1p(min(values))
        return [float((np.log1p(value) - np.log1p(min(values))) / span) if span else 0.0]
    return [0.5 * (v == value) for v in values]


class Rows:
    """The rows of a table in a space: their parameters, and which is nearest to a proposal."""

    def __init__(self, space: SearchSpace, configurations: list[Configuration]):
        self.space, self.configurations = space, configurations
        self.followed = [follow(space, c) for c in configurations]
        self._branches = [branch_of(space, c) for c in configurations]
        names = [b.name for b in self._branches]
        self._of = {n: np.flatnonzero(np.array(names) == n) for n in dict.fromkeys(names)}
        self._positions = {
            n: np.array([position(space, self._branches[i], configurations[i]) for i in of])
            for n, of in self._of.items()
        }

    def used_up(self, tried: set[int]) -> set[str]:
        """The space's methods that have no row left."""
        return {b.name for b in self.space.branches if set(self._of.get(b.name, ())) <= tried}

    def nearest(self, configuration: Configuration, tried: set[int]) -> int | None:
        """The nearest row of the same method that is not tried; None if there is none."""
        branch = branch_of(self.space, configuration)
        of = self._of.get(branch.name, np.array([], dtype=int))
        free = np.array([i not in tried for i in of], dtype=bool)
        if not free.any():
            return None
        far = np.abs(self._positions[branch.name][free] - position(self.space, branch, configuration)).sum(axis=1)
        return int(of[free][far.argmin()])
