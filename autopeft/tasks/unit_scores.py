"""A metric, references and predictions -> UnitScores: all that intervals need of a run, without its labels."""

import base64
import binascii
import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from autopeft.base.errors import AutopeftError
from autopeft.tasks.kind import Metric, Values
from autopeft.tasks.unit_metrics import FromSums, MeanOverUnits, ratio

# The standard error of a variance over B resamples is sqrt(2 / (B - 1)) of it: 10 % for 200, a twentieth of the width of
# an interval. Two to five seeds say less by far; 1,000 resamples would make every run five times as long a line.
RESAMPLES = 200


@dataclass(frozen=True, eq=False)
class UnitScores:
    """What a metric makes of each unit of a split, or of each resample of its units.

    Attributes:
        values: (N,), one per unit, whose mean is the metric; or (B,), the metric on each of B resamples of the units,
            NaN where it cannot be computed. Kept in the precision of float32, in which they are stored.
        resampled: whether they are of resamples.
    """

    values: np.ndarray
    resampled: bool

    def __post_init__(self) -> None:
        rounded = np.asarray(self.values, dtype=np.float32).astype(np.float64)
        rounded.flags.writeable = False
        object.__setattr__(self, "values", rounded)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnitScores) and self.to_text() == other.to_text()

    def __hash__(self) -> int:
        return hash(self.to_text())

    @property
    def bits(self) -> bool:
        """Whether the values are of units, each 0 or 1."""
        return not self.resampled and bool(np.isin(self.values, (0, 1)).all())

    def to_text(self) -> str:
        """What of (unit or resample), form (bits or float32), how many values, checksum and values, as ASCII."""
        form = "bits" if self.bits else "float32"
        packed = np.packbits(self.values.astype(bool)).tobytes() if self.bits else self._compressed()
        head = f"{'resample' if self.resampled else 'unit'}:{form}:{len(self.values)}:{zlib.crc32(packed):08x}"
        return f"{head}:{base64.b64encode(packed).decode('ascii')}"

    def _compressed(self) -> bytes:
        return zlib.compress(self.values.astype("<f4").tobytes(), 9)

    @staticmethod
    def from_text(text: str) -> "UnitScores":
        """Read back what `to_text` wrote. Raises AutopeftError for anything else."""
        try:
            of, form, count, checksum, content = text.split(":")
            packed = base64.b64decode(content, validate=True)
            if of not in ("unit", "resample") or form not in FORMS or int(checksum, 16) != zlib.crc32(packed):
                raise ValueError("damaged")
            values = FORMS[form](packed, int(count))
            if len(values) != int(count):
                raise ValueError("of another length")
        except (ValueError, AttributeError, binascii.Error, zlib.error):
            raise AutopeftError(
                f"The unit scores '{str(text)[:40]}...' are damaged: restore the file that holds them, or delete their run "
                "so that it is trained again."
            ) from None
        return UnitScores(values, of == "resample")


FORMS = {
    "bits": lambda packed, count: np.unpackbits(np.frombuffer(packed, np.uint8))[:count],
    "float32": lambda packed, count: np.frombuffer(zlib.decompress(packed), "<f4"),
}


@lru_cache(maxsize=4)
def resamples(units: int) -> np.ndarray:
    """A number of units N -> B resamples of them with replacement, (B, N).

    A function of N alone, so that all runs of a study share them and differences are paired.
    """
    drawn = np.random.default_rng(units).integers(units, size=(RESAMPLES, units))
    drawn.flags.writeable = False
    return drawn


@lru_cache(maxsize=4)
def _counts(units: int) -> np.ndarray:
    """How often each of the resamples holds each unit, (B, N)."""
    return np.stack([np.bincount(drawn, minlength=units) for drawn in resamples(units)]).astype(float)


def unit_scores(metric: Metric, references: Values, predictions: Values) -> UnitScores:
    """What a metric makes of single units.

    Args:
        metric: any. One with a function `per_unit` is a mean over units and gives one value for each; every other one is
            computed on each resample of the units.
        references: one per unit.
        predictions: one per unit.
    """
    if isinstance(metric, FromSums):
        return UnitScores(metric.resampled(references, predictions, _counts(len(references))), True)
    if per_unit := getattr(metric, "per_unit", None):
        return UnitScores(per_unit(references, predictions), False)
    found = [_on(metric, references, predictions, drawn) for drawn in resamples(len(references))]
    return UnitScores(np.array(found), True)


def _on(metric: Metric, references: Values, predictions: Values, units: np.ndarray) -> float:
    """A metric on some units; NaN where these do not suffice for it, such as units of a single class."""
    try:
        return float(metric(_taken(references, units), _taken(predictions, units)))
    except (ValueError, ArithmeticError, LookupError):
        return float("nan")


def _taken(values: Values, units: np.ndarray) -> Values:
    return values[units] if isinstance(values, np.ndarray) else [values[unit] for unit in units]


def loss_scores(losses: ArrayLike, weights: ArrayLike | None = None) -> UnitScores:
    """The losses of units (N,), and their weights in the mean (N,) where these differ -> UnitScores of the mean loss."""
    losses = np.asarray(losses, dtype=float)
    weights = np.ones(len(losses)) if weights is None else np.asarray(weights, dtype=float)
    if (weights == weights[:1]).all():
        return unit_scores(_MEAN, losses, weights)
    return unit_scores(_WEIGHTED_MEAN, losses, weights)


_MEAN = MeanOverUnits(lambda losses, weights: np.asarray(losses))
_WEIGHTED_MEAN = FromSums(lambda losses, weights: np.stack([losses * np.asarray(weights), weights], axis=1), ratio)
