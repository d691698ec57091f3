"""Labels -> the rows that layers are scored on, and the two halves that check each other."""

import numpy as np

from autopeft.base.errors import AutopeftError
from autopeft.tasks.tokens import TokenisedTask


def calibration_rows(labels: np.ndarray, rows: int, seed: int) -> np.ndarray:
    """Draw a stratified sample of rows.

    Args:
        labels: a class for each row, (N,).
        rows: about how many.
        seed: of the draw.

    Returns:
        Row numbers, ascending, each class by its share and at least two of each class that has two.

    Raises:
        AutopeftError: fewer than two rows are asked for.
    """
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
    """About `rows` training rows with every row of their units: a sample of each class where a row is a unit.

    Args:
        tokenised: the task.
        rows: about how many training rows.
        seed: of the draw.
    """
    split = tokenised.train
    if split.groups is None:
        return calibration_rows(tokenised.kind.strata(split), rows, seed)
    number = max(2, round(rows * split.number_of_units / len(split)))
    return split.expand(np.sort(np.random.default_rng(seed).permutation(split.number_of_units)[:number]))


def refuse_without_classes(labels: np.ndarray, what: str, instead: str) -> None:
    """Refuse rows of one class only, as those of a language model are.

    Args:
        labels: a class for each row, (N,).
        what: what needs classes, for the message.
        instead: what to do, for the message.

    Raises:
        AutopeftError: all rows are of one class.
    """
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
