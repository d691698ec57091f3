"""How long a whole run is: in steps as given, or in passes over the training rows, which may then end early.

A run that sees rows more than once can get worse. Its validation split is scored on the way, it ends when that no longer
brings a lower loss, and what counts is the best of these points. Where a study says its length in steps, runs are trained
to the end.
"""

from collections.abc import Mapping
from typing import Any

from autopeft.base.errors import AutopeftError
from autopeft.study.identity import OLDER
from autopeft.study.spec import BEGAN, PLANNED, StudySpec

EPOCHS, MOST_EPOCHS = (
    3,
    20,
)  # passes over the training rows of a whole run, at least and at most, if a study says nothing
ENOUGH = 300  # steps up to about which a study of few rows passes over them more often
POINTS = (4, 8)  # evaluations of a run that may end early: two per epoch, at least and at most so many
PATIENCE = 2  # evaluations without a lower validation loss after which it ends


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Steps of one pass over the training rows."""
    return -(-rows // batch_size)


def default_epochs(rows: int, batch_size: int) -> int:
    """Whole epochs of a run of a study that does not say its length."""
    return min(MOST_EPOCHS, max(EPOCHS, round(ENOUGH / steps_per_epoch(rows, batch_size))))


def steps_of(epochs: float, rows: int, batch_size: int) -> int:
    """Epochs as steps, at least one."""
    return max(1, round(epochs * steps_per_epoch(rows, batch_size)))


def with_length(spec: StudySpec, rows: int) -> StudySpec:
    """A study with its length in steps, and in epochs unless it was given in steps.

    Args:
        spec: the study; one with a time that says no length stays without, since that is planned.
        rows: training rows of its task.

    Raises:
        AutopeftError: steps and epochs are given and are not the same length.
    """
    if spec.epochs is None and (spec.full_steps is not None or spec.time):
        return spec
    epochs = spec.epochs or float(default_epochs(rows, spec.batch_size))
    steps = steps_of(epochs, rows, spec.batch_size)
    if spec.full_steps not in (None, steps):
        raise AutopeftError(
            f"full_steps={spec.full_steps} and epochs={epochs:g} ({steps:,} steps of these data) are two lengths of a "
            "whole run: give one of them."
        )
    return spec.model_copy(update={"full_steps": steps, "epochs": epochs})


def as_stored(spec: StudySpec, stored: Mapping[str, Any]) -> StudySpec:
    """A study that is resumed: what was found out when it began stays, unless it says otherwise.

    That is its length, what was planned for its time, the learning rate of the head, and how it chooses what to try.

    Args:
        spec: what is asked for.
        stored: the options of the study in the folder; those of an earlier release know no epochs.
    """
    given = spec.model_fields_set
    kept = {n: stored[n] for n in PLANNED if n in stored and n not in given} if spec.time else {}
    kept.pop("full_steps", None)
    kept |= {n: stored.get(n, OLDER.get(n)) for n in BEGAN if n not in given}
    if spec.full_steps is None and spec.epochs is None:
        length = "full_steps" if stored.get("epochs") is None else "epochs"  # of which the steps follow anew
        kept[length] = stored.get(length)
    if spec.head_learning_rate is None:
        kept["head_learning_rate"] = stored.get("head_learning_rate")
    return spec.model_copy(update=kept)


def epochs_of(spec: StudySpec, steps: int, rows: int) -> float | None:
    """The epochs of so many planned steps; None where the study says its length in steps."""
    return spec.epochs if spec.full_steps is not None else steps / steps_per_epoch(rows, spec.batch_size)


def patience_of(epochs: float | None) -> int | None:
    """After how many evaluations without a lower validation loss a run ends; None where it sees no row twice."""
    return PATIENCE if epochs is not None and epochs > 1 else None


def evaluation_interval(steps: int, epochs: float | None) -> int | None:
    """Steps between the evaluations of a run that may end early; None of one that may not."""
    if epochs is None or patience_of(epochs) is None:
        return None
    low, high = POINTS
    return max(1, steps // min(high, max(low, round(2 * epochs))))


def evaluation_steps(steps: int, epochs: float | None) -> tuple[int, ...]:
    """The steps after which a run that may end early is scored, the last one among them; none of one that may not."""
    every = evaluation_interval(steps, epochs)
    if every is None:
        return ()
    return (*range(every, steps - every + 1, every), steps)


def length_in_words(steps: int, rows: int, batch_size: int) -> str:
    """A length in words: "3 epochs, 1,125 steps"."""
    epochs = f"{steps / steps_per_epoch(rows, batch_size):.3g}"
    return f"{epochs} epoch{'' if epochs == '1' else 's'}, {steps:,} step{'' if steps == 1 else 's'}"


def ending_in_words(steps: int, epochs: float | None) -> str:
    """When a finalist or baseline ends before its last step, as a clause; empty where it does not."""
    every = evaluation_interval(steps, epochs)
    if every is None:
        return ""
    return f"ended early once {PATIENCE} evaluations, one every {every:,} steps, bring no lower validation loss"
