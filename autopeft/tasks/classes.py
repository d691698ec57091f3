"""The classes of labelled rows: their order, and what makes them none."""

import pandas as pd

from autopeft.base.errors import AutopeftError
from autopeft.tasks.builtin import Frames
from autopeft.tasks.cleaning import as_number

_MOST_VALUES = 50  # more distinct fractional labels than this are measurements, not classes


def check_classes(frames: Frames, name: str) -> tuple[str, ...]:
    """Frames -> the class names in order (numbers by value), refusing what is not a classification task."""
    counts = pd.concat([frame["label"] for frame in frames.values()]).value_counts()
    numbers = [number for label in counts.index if (number := as_number(label)) is not None]
    if len(numbers) == len(counts) > _MOST_VALUES and not all(number.is_integer() for number in numbers):
        raise AutopeftError(
            f"The labels of {name} are {len(counts)} different fractional numbers, which are no classes: predict "
            "them with --task regression, or cut them into classes."
        )
    if len(counts) == 1:
        raise AutopeftError(f"{name} has one class only, '{counts.index[0]}'. Give at least two.")
    if counts.min() < 2:
        alone = [str(label) for label in counts.index[counts == 1]]
        shown = ", ".join(f"'{label}'" for label in sorted(alone)[:3]) + (", ..." if len(alone) > 3 else "")
        raise AutopeftError(
            f"{len(alone)} of {len(counts)} classes of {name} have one example only ({shown}). "
            "Add examples, merge those classes or remove them."
        )
    labels = [str(label) for label in counts.index]
    return tuple(sorted(labels, key=float) if len(numbers) == len(counts) else sorted(labels))
