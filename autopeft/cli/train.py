"""The command that trains a study's configuration in full."""

import json

import click

from autopeft.base.progress import Progress
from autopeft.cli.main import commands
from autopeft.cli.options import as_json, options_of, quiet
from autopeft.train.plan import Recipe


@commands.command()
@click.argument("study")
@click.option("--trial", default="best", show_default=True, help="best, knee or a trial's number.")
@click.option("--out", type=click.Path(), help="Adapter folder (default: STUDY/adapters/NAME).")
@click.option("--overwrite", is_flag=True, help="Replace what is in that folder; begin anew instead of going on.")
@click.option("--dry-run", is_flag=True, help="Say what would happen; load no weights, train nothing.")
@as_json
@quiet
@options_of(Recipe)
def train(study, trial, out, overwrite, dry_run, json_, quiet, **options) -> None:
    """Train the chosen configuration in full, save the adapter and print its test score.

    \b
    The same command again goes on from the last checkpoint of one that was killed.
    Examples:
      autopeft train runs/NAME --steps 1000
      autopeft train runs/NAME --epochs 20 --eval-every 100 --patience 5 --checkpoint-every 200
      autopeft train runs/NAME --trial knee --batch-size 64 --accumulate 4 --gradient-checkpointing
      accelerate launch -m autopeft train runs/NAME --epochs 3 --merge
    """
    import autopeft

    done = autopeft.train(
        study, trial, out, progress=Progress(quiet=quiet), dry_run=dry_run, overwrite=overwrite, **options
    )
    if not done:  # another process of this training prints
        return None
    if json_:
        return click.echo(json.dumps(done, indent=1))
    if dry_run:
        return print_plan(done)
    click.echo(
        f"{done['name']}: test {done['metric']} {done['test_score']:.4f}, validation {done['validation_score']:.4f} at "
        f"step {done['kept_step']:,}. Adapter in {done['folder']}"
        + (f", whole model in {done['merged']}" if done["merged"] else "")
    )


def print_plan(plan: dict) -> None:
    time = "" if plan["seconds"] is None else f", about {minutes(plan['seconds'])} here as the search ran"
    configuration = plan["configuration"]
    click.echo(
        f"Would train {plan['name']} ({configuration['method']}, learning rate {configuration['learning_rate']:.2g}) for "
        f"{plan['steps']:,} steps of {plan['batch_size']} rows ({plan['epochs']:g} epochs) with seed {plan['seed']}{time}."
    )
    click.echo(
        f"{plan['schedule'].capitalize()} schedule, {plan['evaluations']} evaluations, {plan['checkpoints']} checkpoints"
        + (", going on from an unfinished training." if plan["resumes"] else ".")
    )
    click.echo(f"Into {plan['folder']}: {', '.join(plan['files'])}. Nothing was trained.")


def minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
