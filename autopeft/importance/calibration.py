"""Labels -> the rows that layers are scored on, and the two halves that check each other."""

import numpy as np

from autopeft.base.errors import AutopeftError
from autopeft.tasks.tokens import TokenisedTask


def calibration_rows(labels: np.ndarray, rows: int, seed: int) -> np.ndarray:
    """Labels (N,) -> about `rows` row numbers without repeats, each class by its share, two at least."""
    if rows < 2:
        raise AutopeftError(f"Layer scores need at least 2 calibration rows, not {rows}.")
    generator = np.random.default_rng(seed)
    share = min(1.0, rows / len(labels))
    chosen = [
        generator.permutation(np.flatnonzero(labels == c))[: max(2, round(share * np.sum(labels == c)))]
        for c in np.unique(labels)
    ]
    return np.sort(np.concatenate(chosen))


def calibration_units(tokenised: TokenisedTask, rows: int, seed: int) -> np.ndarray:
    """About `rows` training rows with every row of their units: a sample of each class where a row is a unit."""
    split = tokenised.train
    if split.groups is None:
        return calibration_rows(tokenised.kind.strata(split), rows, seed)
    number = max(2, round(rows * split.number_of_units / len(split)))
    return split.expand(np.sort(np.random.default_rng(seed).permutation(split.number_of_units)[:number]))


def refuse_without_classes(labels: np.ndarray, what: str, instead: str) -> None:
    """Raise AutopeftError where all rows are of one class, as those of a language model are."""
    if len(np.unique(labels)) < 2:
        raise AutopeftError(f"{what} needs classes, and this task has none: {instead}.")


def halves(labels: np.ndarray, seed: int) -> np.ndarray:
    """Labels (N,) -> True for one half and False for the other (N,), each class cut in two."""
    generator = np.random.default_rng(seed)
    first = np.zeros(len(labels), dtype=bool)
    for c in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == c))
        first[members[: (len(members) + 1) // 2]] = True
    return first


def class_weights(labels: np.ndarray) -> np.ndarray:
    """Labels (N,) -> weights (N,) that sum to 1 and give every class the same sum: the macro-average."""
    values, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return 1 / (len(values) * counts[inverse])
