"""What a configuration is expected to gain on a new task, and how uncertain that is.

A Gaussian process over configurations and tasks (Swersky et al. 2013, Multi-Task Bayesian Optimization): what all tasks
share plus what is a task's own, each with a part by size, a part by method and size, and a part by size, depth and modules.
One run's score is a noisy witness; the process weighs it against what like configurations reached on this and on other
tasks. The regression is scikit-learn's.
"""

import json
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.methods import count, count_per_module

if TYPE_CHECKING:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Kernel

FILE = Path(__file__).with_name("benchmark.json")
SIZE, DEPTH, MODULES, METHOD, TASK = range(5)  # columns
NEW_TASK = -1
MIDDLE = 0.5  # of the gains, to which the process returns where it knows nothing
FREE = 4.0
STOPPED = 2.0  # with how many times one run's noise the end of a run is known that was stopped on the way
JITTER = 1e-6

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Witness:
    """What a configuration gained.

    Attributes:
        gain: over the linear probe, as a share of what the best tenth of the task's configurations gain.
        noise: the standard deviation with which it is known, as a multiple of one run's.
        task: the number of a task of the benchmark, or NEW_TASK.
    """

    method: str
    size: float  # logarithm of the share of the backbone's parameters
    depth: float  # share of the layers
    modules: float  # logarithm of their number
    gain: float = 0.0
    noise: float = 1.0
    task: int = NEW_TASK


@dataclass(frozen=True)
class GainModel:
    """What was learnt of gains from a benchmark of tasks.

    Attributes:
        witnesses: of all its tasks.
        theta: logarithms of the kernel's hyperparameters; None if they are still to be fitted.
    """

    witnesses: tuple[Witness, ...]
    theta: tuple[float, ...] | None = None
    _processes: dict[tuple[Witness, ...], Any] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def methods(self) -> dict[str, int]:
        """Method -> its number."""
        return {name: i for i, name in enumerate(sorted({w.method for w in self.witnesses}))}

    def fitted(self) -> "GainModel":
        """The same with the hyperparameters of the highest marginal likelihood."""
        process = self._process(self.witnesses)
        return GainModel(self.witnesses, tuple(float(x) for x in process.kernel_.theta))

    def draws(self, asked: Sequence[Witness], number: int, seed: int = 0, seen: Iterable[Witness] = ()) -> Floats:
        """Draw from the posterior what configurations might gain on a new task, without the noise of a run.

        Args:
            asked: N configurations.
            number: how many draws.
            seed: of the draws.
            seen: what the new task has shown so far.

        Returns:
            (number, N)
        """
        mean, covariance = self._posterior(asked, seen)
        generator = np.random.default_rng(seed)
        drawn = generator.multivariate_normal(mean, covariance, number, check_valid="ignore", method="eigh")
        return np.asarray(drawn)

    def expected(self, asked: Sequence[Witness]) -> Floats:
        """(N,) What configurations are expected to gain on a task that has shown nothing yet."""
        return MIDDLE + np.asarray(self._with(()).predict(self._rows(asked)))

    def _posterior(self, asked: Sequence[Witness], seen: Iterable[Witness]) -> tuple[Floats, Floats]:
        """Mean (N,) and covariance (N, N)."""
        process = self._with(tuple(seen))
        mean, covariance = process.predict(self._rows(asked), return_cov=True)
        noise = float(process.kernel_.k2.noise_level)
        return MIDDLE + mean, covariance - (noise - JITTER) * np.eye(len(asked))

    def _with(self, seen: tuple[Witness, ...]) -> "GaussianProcessRegressor":
        """The process that has seen the benchmark and this; the one without and the last one are kept."""
        if seen not in self._processes:
            for other in [key for key in self._processes if key]:
                del self._processes[other]
            self._processes[seen] = self._process((*self.witnesses, *seen))
        return self._processes[seen]

    def _process(self, witnesses: Sequence[Witness]) -> "GaussianProcessRegressor":
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor

        kernel = new_kernel() if self.theta is None else new_kernel().clone_with_theta(np.array(self.theta))
        optimizer = "fmin_l_bfgs_b" if self.theta is None else None
        noise = np.array([w.noise for w in witnesses])
        extra = np.exp(kernel.theta[-1]) * (noise**2 - 1)  # on top of the kernel's own
        process = GaussianProcessRegressor(kernel, alpha=np.maximum(extra, JITTER), optimizer=optimizer)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # that a hyperparameter is at its bound
            return process.fit(self._rows(witnesses), np.array([w.gain for w in witnesses]) - MIDDLE)

    def _rows(self, witnesses: Sequence[Witness]) -> Floats:
        """(N, 5); a method that the benchmark did not hold gets a number of its own."""
        numbers = [self.methods.get(w.method, crc32(w.method.encode())) for w in witnesses]
        return np.array([[w.size, w.depth, w.modules, number, w.task] for w, number in zip(witnesses, numbers)])

    def to_json(self) -> dict[str, Any]:
        """As plain lists, of four digits."""
        rows = [
            [w.task, w.method, *(round(x, 4) for x in (w.size, w.depth, w.modules, w.gain, w.noise))]
            for w in self.witnesses
        ]
        return {"theta": [round(x, 4) for x in self.theta or ()], "witnesses": rows}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "GainModel":
        """Read what `to_json` wrote."""
        witnesses = (replace(Witness(*row), task=task) for task, *row in data["witnesses"])
        return cls(tuple(witnesses), tuple(data["theta"]) or None)


@cache
def gain_model() -> GainModel:
    """The model that comes with autopeft. Raises AutopeftError where its file is damaged."""
    try:
        return GainModel.from_json(json.loads(FILE.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AutopeftError(
            f"{FILE.name} in {FILE.parent.name}/ cannot be read ({error}): install autopeft again."
        ) from None


def placed(configuration: Configuration, shapes: BackboneShapes) -> Witness:
    """A configuration on its backbone as the model sees it, with nothing gained yet."""
    share = max(1, count(configuration, shapes)) / shapes.backbone_parameters
    modules = max(1, len(count_per_module(configuration, shapes)))
    depth = len(configuration.layers) / shapes.num_layers
    return Witness(configuration.method, float(np.log10(share)), depth, float(np.log10(modules)))


def new_kernel() -> "Kernel":
    """What all tasks share, what is a task's own, and the noise of a run.

    Few tasks say little of it, so each hyperparameter is held within FREE times its start.
    """
    from sklearn.gaussian_process.kernels import WhiteKernel

    return parts(0.06) + same(TASK) * parts(0.03) + WhiteKernel(0.02, free(0.02))


def parts(variance: float) -> "Kernel":
    """A level, and by size, by method and size, by size, depth and modules how far from it."""
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel

    from autopeft.surrogate.columns import OnColumns

    def scaled(share: float) -> "Kernel":
        return ConstantKernel(share * variance, free(share * variance))

    by_size = scaled(1) * OnColumns(RBF(1.5, free(1.5)), [SIZE])
    by_method = scaled(1) * same(METHOD) * OnColumns(RBF(1.0, free(1.0)), [SIZE])
    by_place = scaled(0.5) * OnColumns(RBF([1.0, 0.5, 1.0], free(0.7)), [SIZE, DEPTH, MODULES])
    return scaled(1) + by_size + by_method + by_place


def same(column: int) -> "Kernel":
    """1 where two rows have the same whole number in a column, else 0."""
    from sklearn.gaussian_process.kernels import RBF

    from autopeft.surrogate.columns import OnColumns

    return OnColumns(RBF(0.05, "fixed"), [column])


def free(start: float) -> tuple[float, float]:
    """The bounds of a hyperparameter."""
    return start / FREE, start * FREE
