"""The row of a tabular benchmark that is nearest to a proposed configuration."""

import numpy as np
from numpy.typing import NDArray

from autopeft.configuration import Configuration, Scalar
from autopeft.procedures import get_procedure
from autopeft.space import SearchSpace
from autopeft.space.branch import Branch
from autopeft.space.inverse import branch_of, completed, parameters_of


def position(space: SearchSpace, branch: Branch, configuration: Configuration) -> NDArray[np.float64]:
    """Where a configuration lies: the L1 distance of two is that of layers + settings + learning rate, each 0 to 1.

    Layers: Hamming / L. Settings, their mean: a size by the ratio of (1 + value), as a share of its range's logarithm;
    anything else 0 or 1. Learning rate: the ratio, as a share of its range's logarithm. In a space with training
    procedures, 1 more where these differ, and the mean over their settings (those of another procedure lie at 0).

    Args:
        space: That makes the configuration.
        branch: The part of the space that makes it.
        configuration: What is placed.

    Returns:
        (D,) The coordinates. D is the same for all configurations of a branch.
    """
    configuration, top = completed(configuration), branch.shapes.num_layers
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
    """The coordinates of a configuration's training procedure, among all those of the space."""
    own = dict(configuration.procedure_settings)
    found: list[float] = []
    for name, choices in space.procedures.items():
        here = configuration.procedure == name
        found.append(0.5 * here)
        for setting, values in choices.items():
            at = place(own[setting] if here else values[0], values)
            found += [x * here / len(choices) for x in at]
    return [*found, 0.5 * (configuration.procedure == "plain")] if found else []


def place(value: Scalar | None, values: tuple[Scalar, ...]) -> list[float]:
    """The coordinates of a value among its choices: one for a size, half a one-hot vector for anything else."""
    sizes = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool) and v >= 0]
    if len(sizes) == len(values) and isinstance(value, int | float):
        span = np.log1p(max(sizes)) - np.log1p(min(sizes))
        return [float((np.log1p(value) - np.log1p(min(sizes))) / span) if span else 0.0]
    return [0.5 * (v == value) for v in values]


class Rows:
    """The rows of a benchmark in a space: their parameters, and which is nearest to a proposal.

    Args:
        space: Whose parameters.
        configurations: The rows', all of that space.

    Attributes:
        followed: Each row's parameters in the space, with Optuna's distributions.
    """

    def __init__(self, space: SearchSpace, configurations: list[Configuration]) -> None:
        self.space, self.configurations = space, configurations
        self.followed = [parameters_of(space, c, stored=True) for c in configurations]
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
