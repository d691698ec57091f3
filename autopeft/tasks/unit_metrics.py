"""How a metric is stated by what it makes of single units: as the mean of one value per unit, or from sums over units."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from autopeft.tasks.kind import Values


@dataclass(frozen=True)
class MeanOverUnits:
    """A metric that is a mean over units; as a decorator it makes one of a function that gives the units' values.

    Attributes:
        per_unit: references, predictions -> (N,), whose mean is the metric.
    """

    per_unit: Callable[[Values, Values], np.ndarray]

    def __call__(self, references: Values, predictions: Values) -> float:
        """The mean; 0 where no unit counts."""
        values = self.per_unit(references, predictions)
        return float(np.mean(values)) if len(values) else 0.0


@dataclass(frozen=True)
class FromSums:
    """A metric that sums over units determine, such as a ratio of two of them.

    Attributes:
        numbers: references, predictions -> (N, K), what each unit adds.
        value: sums (..., K) -> the metric (...).
    """

    numbers: Callable[[Values, Values], np.ndarray]
    value: Callable[[np.ndarray], np.ndarray]

    def __call__(self, references: Values, predictions: Values) -> float:
        """The metric on all units."""
        return float(self.value(self.numbers(references, predictions).sum(0)))

    def resampled(self, references: Values, predictions: Values, counts: np.ndarray) -> np.ndarray:
        """The metric on resamples.

        Args:
            references: one per unit.
            predictions: one per unit.
            counts: how often each resample holds each unit, (B, N).

        Returns:
            One value for each resample, (B,).
        """
        return self.value(counts @ self.numbers(references, predictions))


def from_sums(
    value: Callable[[np.ndarray], np.ndarray],
) -> Callable[[Callable[[Values, Values], np.ndarray]], FromSums]:
    """A decorator that makes a metric of a function that gives what each unit adds (N, K)."""
    return lambda numbers: FromSums(numbers, value)


def ratio(sums: np.ndarray) -> np.ndarray:
    """Sums (..., 2) -> the first over the second; 0 where the second is 0."""
    return quotient(sums[..., 0], sums[..., 1])


def quotient(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """The quotient, 0 where the divisor is 0."""
    return np.divide(above, below, out=np.zeros(np.shape(above)), where=below != 0)


def class_counts(
    references: Values, predictions: Values, units: np.ndarray | None = None, left_out: str | None = None
) -> np.ndarray:
    """Labels and predicted ones -> how many of each unit are rightly, truly and allegedly of each class.

    Args:
        references: L labels.
        predictions: L labels.
        units: of N the unit that each label belongs to, (L,), ascending; None: each is a unit.
        left_out: a class that is none.

    Returns:
        (N, 3 C): right, true and predicted labels of each of C classes.
    """
    classes, found = np.unique(np.concatenate([references, predictions]), return_inverse=True)
    true, said = np.split(found, 2)
    units = np.arange(len(true)) if units is None else units
    shape = (units[-1] + 1, len(classes))
    right = true == said
    counts = [
        np.bincount(units[which] * shape[1] + labels[which], minlength=shape[0] * shape[1]).reshape(shape)
        for labels, which in ((true, right), (true, ...), (said, ...))
    ]
    return np.concatenate([c[:, classes != left_out] if left_out is not None else c for c in counts], axis=1).astype(
        float
    )


def mean_f1(counts: np.ndarray) -> np.ndarray:
    """Counts (..., 3 C) of right, true and predicted -> the mean F1 of the classes that are there at all."""
    right, true, said = np.split(counts, 3, axis=-1)
    there = true + said > 0
    return quotient(quotient(2 * right, true + said).sum(-1), there.sum(-1))


def matthews_of(counts: np.ndarray) -> np.ndarray:
    """Counts (..., 3 C) -> the correlation of C classes (Gorodkin 2004, Comput. Biol. Chem. 28, eq. 8); 0 without one."""
    right, true, said = np.split(counts, 3, axis=-1)
    units = true.sum(-1)
    covariance = right.sum(-1) * units - (true * said).sum(-1)
    spread = (units**2 - (true**2).sum(-1)) * (units**2 - (said**2).sum(-1))
    return quotient(covariance, np.sqrt(spread))


def moments(references: Values, predictions: Values) -> np.ndarray:
    """Numbers (N,) -> 1, both sides less their means, squares, product and squared error of each unit, (N, 7)."""
    true, found = np.asarray(references, dtype=float), np.asarray(predictions, dtype=float)
    x, y = true - true.mean(), found - found.mean()
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y, (true - found) ** 2], axis=1)


def correlation(sums: np.ndarray) -> np.ndarray:
    """Sums of moments (..., 7) -> Pearson's correlation; 0 where either side is constant."""
    units, x, y, _, _, product, _ = np.moveaxis(sums, -1, 0)
    return quotient(product - x * y / units, np.sqrt(_squares(sums, 1, 3) * _squares(sums, 2, 4)))


def explained(sums: np.ndarray) -> np.ndarray:
    """Sums of moments (..., 7) -> 1 less the squared error's share of the references' variance; 0 where they have none."""
    squares = _squares(sums, 1, 3)
    return np.where(squares > 0, 1 - quotient(sums[..., 6], squares), 0.0)


def minus_root_of_error(sums: np.ndarray) -> np.ndarray:
    """Sums of moments (..., 7) -> the root of the mean squared error, times -1."""
    return -np.sqrt(sums[..., 6] / sums[..., 0])


def _squares(sums: np.ndarray, plain: int, squared: int) -> np.ndarray:
    """The squared deviations from the mean, and exactly 0 where rounding is all that is left of them."""
    found = sums[..., squared] - sums[..., plain] ** 2 / sums[..., 0]
    return np.where(found > 1e-10 * sums[..., squared], found, 0.0)
