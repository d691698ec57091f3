"""Train a study's chosen configuration at full length and keep it: adapter, model card, curve, test score."""

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from autopeft.base.interrupt import interrupts_noted
from autopeft.base.lock import one_writer
from autopeft.base.progress import Progress
from autopeft.train.trained import PlannedTraining, Trained

if TYPE_CHECKING:
    from autopeft.train.processes import Processes
    from autopeft.train.training import FullTraining

Study = str | Path


@overload
def train(
    study: Study,
    which: str | int = ...,
    out: str | Path | None = ...,
    steps: int | None = ...,
    seed: int | None = ...,
    progress: Progress | None = ...,
    *,
    dry_run: Literal[True],
    overwrite: bool = ...,
    **options: Any,
) -> PlannedTraining: ...


@overload
def train(
    study: Study,
    which: str | int = ...,
    out: str | Path | None = ...,
    steps: int | None = ...,
    seed: int | None = ...,
    progress: Progress | None = ...,
    dry_run: Literal[False] = ...,
    overwrite: bool = ...,
    **options: Any,
) -> Trained | None: ...


def train(
    study: Study,
    which: str | int = "best",
    out: str | Path | None = None,
    steps: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
    **options: Any,
) -> Trained | PlannedTraining | None:
    """Train one configuration of a study at full length and save it with peft.

    The same call resumes from the last checkpoint of one that was killed. The test score is that of the saved adapter,
    loaded anew on an fp32 backbone: whoever loads the adapter gets that score. Under `accelerate launch` every process
    trains a share of each batch and the first one writes.

    Args:
        study: The study folder.
        which: "best", "knee" or a trial's number.
        out: The adapter's folder; STUDY/adapters/NAME by default.
        steps: Training steps; by default as long as the study's own runs, with an early end where they had one.
        seed: The study's by default.
        progress: Where notes and evaluations are printed; nowhere by default.
        dry_run: Only say what would happen.
        overwrite: Replace what is in the adapter's folder; begin anew instead of resuming.
        **options: The other fields of `autopeft.train.options.TrainingOptions`: epochs, eval_every, patience,
            checkpoint_every, merge and so on.

    Returns:
        What was trained, with its scores, or what would be (`dry_run`). Of the processes of `accelerate launch` all but
        the first return None.

    Raises:
        AutopeftError: The input is wrong, or the loss is no longer finite.

    Example:
        The best configuration of the study in the example of `autopeft.search`, trained for a few steps:

        >>> import autopeft
        >>> planned = autopeft.train("runs/small", steps=2, out="adapter", dry_run=True)
        >>> planned.steps, str(planned.folder)
        (2, 'adapter')
        >>> trained = autopeft.train("runs/small", steps=2, out="adapter")
        >>> trained.steps, 0 <= trained.test_score <= 1
        (2, True)
    """
    from autopeft.train.training import FullTraining

    progress = progress or Progress(quiet=True)
    training = FullTraining.of(study, which, out, overwrite, steps=steps, seed=seed, **options)
    if dry_run:
        return training.summary()

    from autopeft.train.processes import together  # loads torch: only now that nothing is wrong with the input

    with interrupts_noted(), together() as processes, work_lock(training) if processes.first else nullcontext():
        return carry_out(training, processes, progress if processes.first else Progress(quiet=True))


def work_lock(training: "FullTraining") -> AbstractContextManager[None]:
    """One process, or those of one `accelerate launch`, at a time; it lies beside the work folder, which is replaced."""
    return one_writer(training.work.with_name(f"{training.work.name}.lock"), f"The adapter in {training.folder}")


def carry_out(training: "FullTraining", processes: "Processes", progress: Progress) -> Trained | None:
    """Train, score what was saved and write the card; the work folder goes when the adapter's folder is whole.

    Args:
        training: What is trained.
        processes: Those that train together.
        progress: Where notes and evaluations are printed.

    Returns:
        None in every process but the first.
    """
    from autopeft.base.files import whole_folder
    from autopeft.train.card import card
    from autopeft.train.full import open_trainer
    from autopeft.train.saved import merge, score_saved
    from autopeft.train.work import WorkFolder

    work = WorkFolder(training.work)
    begun = work.begin(training, processes)
    trainer = open_trainer(training, processes, progress)
    progress.note(
        f"Training {training.name}: {training.configuration} for {training.steps:,} steps of {training.batch_size} rows."
    )
    record = trainer.complete(training, work, begun, processes, progress)
    if not processes.first:
        return None
    loss, score = score_saved(work.kept(record), training, trainer.tokenised)
    trained = Trained(**training.facts(), **record.facts(), test_loss=loss, test_score=score)
    with whole_folder(training.folder) as beside:
        work.copy_kept(record, beside)
        if training.options.merge:
            merge(beside, training, trainer.tokenised)
        (beside / "curve.csv").write_text(record.csv(), encoding="utf-8")
        (beside / "README.md").write_text(card(training, trained), encoding="utf-8")
        (beside / "scores.json").write_text(json.dumps(trained.to_json(), indent=1) + "\n", encoding="utf-8")
    work.remove()
    return trained
