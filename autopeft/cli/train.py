"""The command `train`: a study's configuration, trained in full."""

import json
from typing import TYPE_CHECKING, Any

import click

from autopeft.base.progress import Progress
from autopeft.cli.main import commands
from autopeft.cli.options import as_json, options_of, quiet
from autopeft.train.options import TrainingOptions

if TYPE_CHECKING:
    from autopeft.train.trained import PlannedTraining


@commands.command()
@click.argument("study")
@click.option("--trial", default="best", show_default=True, help="best, knee or a trial's number.")
@click.option("--out", type=click.Path(), help="Adapter folder (default: STUDY/adapters/NAME).")
@click.option("--overwrite", is_flag=True, help="Replace what is in that folder; begin anew instead of going on.")
@click.option("--dry-run", is_flag=True, help="Say what would happen; load no weights, train nothing.")
@as_json
@quiet
@options_of(TrainingOptions)
def train(
    study: str,
    trial: str,
    out: str | None,
    overwrite: bool,
    dry_run: bool,
    json_: bool,
    quiet: bool,
    **options: Any,
) -> None:
    r"""Train the chosen configuration in full, save the adapter and print its test score.

    The same command again resumes from the last checkpoint of one that was killed.

    \b
    Examples:
      autopeft train runs/NAME --steps 1000
      autopeft train runs/NAME --epochs 20 --eval-every 100 --patience 5 --checkpoint-every 200
      autopeft train runs/NAME --trial knee --batch-size 64 --accumulate 4 --gradient-checkpointing
      accelerate launch -m autopeft train runs/NAME --epochs 3 --merge
    """
    import autopeft

    if dry_run:
        planned = autopeft.train(study, trial, out, dry_run=True, overwrite=overwrite, **options)
        return click.echo(json.dumps(planned.to_json(), indent=1)) if json_ else print_planned(planned)
    trained = autopeft.train(study, trial, out, progress=Progress(quiet=quiet), overwrite=overwrite, **options)
    if trained is None:  # the first process prints
        return None
    if json_:
        return click.echo(json.dumps(trained.to_json(), indent=1))
    click.echo(
        f"{trained.name}: test {trained.metric} {trained.test_score:.4f}, validation {trained.validation_score:.4f} at "
        f"step {trained.kept_step:,}. Adapter in {trained.folder}"
        + (f", whole model in {trained.merged}" if trained.merged else "")
    )


def print_planned(planned: "PlannedTraining") -> None:
    """Print what would be trained."""
    time = "" if planned.seconds is None else f", about {minutes(planned.seconds)} here as the search ran"
    configuration = planned.configuration
    click.echo(
        f"Would train {planned.name} ({configuration.method}, learning rate {configuration.learning_rate:.2g}) for "
        f"{planned.steps:,} steps of {planned.batch_size} rows ({planned.epochs:g} epochs) with seed {planned.seed}{time}."
    )
    click.echo(
        f"{planned.schedule.capitalize()} schedule, {planned.evaluations} evaluations, {planned.checkpoints} checkpoints"
        + (", resuming an unfinished training." if planned.resumes else ".")
    )
    click.echo(f"Into {planned.folder}: {', '.join(planned.files)}. Nothing was trained.")


def minutes(seconds: float) -> str:
    """A duration in minutes, or in seconds where it is short."""
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
