"""A kernel of scikit-learn that sees some columns only."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel
from typing_extensions import override

Floats = NDArray[np.float64]


class OnColumns(Kernel):
    """Another kernel, on some columns of the rows.

    Args:
        kernel: with its hyperparameters, which are this one's.
        columns: their numbers.
    """

    def __init__(self, kernel: Kernel, columns: list[int]) -> None:
        self.kernel = kernel
        self.columns = columns

    @override
    def get_params(self, deep: bool = True) -> dict[str, Any]:
        inner = {f"kernel__{k}": v for k, v in self.kernel.get_params().items()} if deep else {}
        return {"kernel": self.kernel, "columns": self.columns, **inner}

    @property
    def hyperparameters(self) -> list[Hyperparameter]:
        """The inner kernel's."""
        return [
            Hyperparameter(f"kernel__{h.name}", h.value_type, h.bounds, h.n_elements)
            for h in self.kernel.hyperparameters
        ]

    @property
    def theta(self) -> Floats:
        """Logarithms of the inner kernel's free hyperparameters."""
        return np.asarray(self.kernel.theta)

    @theta.setter
    def theta(self, theta: Floats) -> None:
        self.kernel.theta = theta

    @property
    def bounds(self) -> Floats:
        """Their bounds."""
        return np.asarray(self.kernel.bounds)

    @override
    def __call__(self, X: Floats, Y: Floats | None = None, eval_gradient: bool = False) -> Any:
        return self.kernel(X[:, self.columns], None if Y is None else Y[:, self.columns], eval_gradient)

    @override
    def diag(self, X: Floats) -> Floats:
        return np.asarray(self.kernel.diag(X[:, self.columns]))

    @override
    def is_stationary(self) -> bool:
        return bool(self.kernel.is_stationary())
