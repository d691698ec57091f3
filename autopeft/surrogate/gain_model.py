"""Tables of tasks -> what a configuration is expected to gain on a task that nobody has seen, and how uncertain that is.

A Gaussian process (scikit-learn) over configurations and tasks: what all tasks share plus what is a task's own, each with a
part by size, a part by method and size, and a part by size, depth and modules. One run's test score is a noisy witness; the
process weighs it against what like configurations reached on this and on other tasks.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Kernel, WhiteKernel

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.methods import count, count_per_module
from autopeft.tabular.columns import OnColumns
from autopeft.tabular.task_table import TaskTable

SIZE, DEPTH, MODULES, METHOD, TASK = range(5)  # columns
NEW_TASK = -1.0
TOP = 10  # a task's gains are divided by the mean of its best tenth
STOPPED = 2.0  # standard deviations of one run's noise with which the end of a run is known that was stopped on the way
FREE = 4.0
MIDDLE = 0.5  # of the divided gains, to which the process returns where it knows nothing

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GainModel:
    """What was learnt of gains over the linear probe, each divided by what the task's best tenth gains.

    Attributes:
        methods: by name; a method's place is its number.
        x: (N, 5) configurations and tasks.
        y: (N,) gains.
        noise: (N,) of each, in standard deviations of one run's.
    """

    methods: tuple[str, ...]
    x: Floats
    y: Floats
    noise: Floats

    @classmethod
    def of(cls, tables: Sequence[TaskTable]) -> "GainModel":
        """Learn from tables; what was stopped on the way is taken to end where its loss points.

        Args:
            tables: the tasks, at least one with room over the linear probe.
        """
        methods = tuple(sorted({c.method for t in tables for c in t.configurations}))
        places, gains, noise = [], [], []
        for number, table in enumerate(tables):
            places += [placed(c, table.shapes, methods, float(number)) for c in table.configurations]
            gains.append(divided(table.expected_gains))
            noise.append(np.where(np.arange(len(table.configurations)) < len(table.rows), 1.0, STOPPED))
        return cls(methods, np.array(places), np.concatenate(gains), np.concatenate(noise))

    @cached_property
    def fitted(self) -> GaussianProcessRegressor:
        """The process, with the kernel of the highest marginal likelihood."""
        extra = 0.2**2 * (self.noise**2 - 1)  # on top of the white noise, which is fitted
        process = GaussianProcessRegressor(kernel(), alpha=1e-6 + extra, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # that a hyperparameter is at its bound
            return process.fit(self.x, self.y - MIDDLE)

    def draws(self, configurations: Sequence[Configuration], shapes: Sequence[BackboneShapes], number: int) -> Floats:
        """(number, N) What configurations might gain on a new task.

        Args:
            configurations: N of them; of methods that the tables hold.
            shapes: of the backbone of each.
            number: of draws from the posterior.
        """
        x = np.array([placed(c, s, self.methods, NEW_TASK) for c, s in zip(configurations, shapes)])
        return MIDDLE + np.asarray(self.fitted.sample_y(x, number, random_state=0)).T


def kernel() -> Kernel:
    """What all tasks share, what is a task's own, and the noise of a run.

    Few tasks say little of it, so each hyperparameter is held within FREE times its start.
    """
    return parts(0.06) + same(TASK) * parts(0.03) + WhiteKernel(0.02, free(0.02))


def parts(variance: float) -> Kernel:
    """A level, and by size, by method and size, by size, depth and modules how far from it."""

    def scaled(share: float) -> Kernel:
        return ConstantKernel(share * variance, free(share * variance))

    by_size = scaled(1) * OnColumns(RBF(1.5, free(1.5)), [SIZE])
    by_method = scaled(1) * same(METHOD) * OnColumns(RBF(1.0, free(1.0)), [SIZE])
    by_place = scaled(0.5) * OnColumns(RBF([1.0, 0.5, 1.0], free(0.7)), [SIZE, DEPTH, MODULES])
    return scaled(1) + by_size + by_method + by_place


def free(start: float) -> tuple[float, float]:
    """The bounds of a hyperparameter."""
    return start / FREE, start * FREE


def same(column: int) -> Kernel:
    """1 where two rows have the same whole number in a column, else 0."""
    return OnColumns(RBF(0.05, "fixed"), [column])


def placed(
    configuration: Configuration, shapes: BackboneShapes, methods: Sequence[str], task: float
) -> tuple[float, ...]:
    """A configuration's row: logarithm of its share of the backbone, share of the layers, logarithm of its modules, method, task."""
    share = max(1, count(configuration, shapes)) / shapes.backbone_parameters
    modules = max(1, len(count_per_module(configuration, shapes)))
    depth = len(configuration.layers) / shapes.num_layers
    return (
        float(np.log10(share)),
        depth,
        float(np.log10(modules)),
        float(methods.index(configuration.method)),
        task,
    )


def divided(gains: Floats) -> Floats:
    """Gains by the mean of the best tenth of them."""
    best = np.sort(gains)[-max(3, len(gains) // TOP) :]
    return gains / float(best.mean())
