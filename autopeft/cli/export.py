"""The commands `export` and `compress`: a configuration or an adapter for use elsewhere."""

import json
from typing import TYPE_CHECKING

import click

from autopeft.base.errors import AutopeftError
from autopeft.base.progress import Progress
from autopeft.cli.main import commands
from autopeft.cli.options import as_json, quiet

if TYPE_CHECKING:
    from autopeft.export import Case


@commands.command()
@click.argument("study")
@click.option("--to", default="peft", show_default=True, help="Toolkit (see --verdicts).")
@click.option("--trial", default="best", show_default=True, help="best, knee or a trial's number.")
@click.option("--out", type=click.Path(), help="Folder (default: STUDY/export/TOOLKIT).")
@click.option("--verdicts", is_flag=True, help="Only say what each toolkit can express of it.")
@click.option("--dry-run", is_flag=True, help="Only say what would be written.")
@as_json
def export(study: str, to: str, trial: str, out: str | None, verdicts: bool, dry_run: bool, json_: bool) -> None:
    r"""Write a configuration as a toolkit's own files.

    The verdict is lossless, lossy (each loss is named; the exit code is 0) or unsupported (nothing is written; the
    exit code is 2).

    \b
    Examples:
      autopeft export runs/NAME --to llamafactory --trial knee
      autopeft export runs/NAME --verdicts
    """
    from autopeft.result import Result

    result = Result.open(study)
    if verdicts:
        return print_verdicts(result.case(trial), json_)
    done = result.export(to, trial, out, dry_run)
    if done.caution:
        click.echo(f"Note: {done.caution}", err=True)
    if json_:
        click.echo(json.dumps(done.to_json(), indent=1))
    if done.verdict == "unsupported":
        raise AutopeftError(f"{done.reason} Toolkits that can: {', '.join(done.alternatives)}.")
    if json_:
        return
    click.echo(f"{'Would write' if dry_run else 'Wrote'} {', '.join(done.files)} to {done.folder}: {done.verdict}.")
    for loss in done.losses:
        click.echo(f"  Lost: {loss}")
    if done.nearest:
        click.echo(f"  Trained instead: {done.nearest}.")
    click.echo(f"Run it there: {done.command}")


def print_verdicts(case: "Case", json_: bool) -> None:
    """A row per toolkit: what it can express of a configuration."""
    from autopeft.export import verdicts
    from autopeft.report.rows import print_rows

    found = verdicts(case)
    if json_:
        return click.echo(json.dumps([x.to_json() for x in found], indent=1))
    rows = [{"toolkit": x.toolkit, "verdict": x.verdict, "why": x.reason or " ".join(x.losses)} for x in found]
    print_rows(rows, f"{case.name}: {case.configuration}")


@commands.command()
@click.argument("adapter")
@click.option("--study", help="Study whose rows are scored (default: the one the adapter lies in, if any).")
@click.option("--density", type=float, help="Share of the update that is kept, 0 to 1 (default: 0.2).")
@click.option("--alpha", type=float, help="Its size, in standard deviations of the update (default: 1).")
@click.option("--tune", is_flag=True, help="Choose density and alpha on the validation split.")
@click.option("--out", type=click.Path(), help="Folder (default: ADAPTER-compressed).")
@click.option("--trust-remote-code", is_flag=True, help="Run Python code that comes with the study's model.")
@as_json
@quiet
def compress(
    adapter: str,
    study: str | None,
    density: float | None,
    alpha: float | None,
    tune: bool,
    out: str | None,
    trust_remote_code: bool,
    json_: bool,
    quiet: bool,
) -> None:
    r"""Reduce a saved adapter to the signs of its largest updates (ComPEFT).

    \b
    Writes compressed.safetensors, which keeps about a third of a bit to one and a half bits per parameter, and beside
    it the same adapter as peft loads it.
    Example: autopeft compress runs/NAME/adapters/best --tune
    """
    import autopeft

    done = autopeft.compress(adapter, density, alpha, tune, study, out, Progress(quiet=quiet), trust_remote_code)
    if json_:
        return click.echo(json.dumps(done.to_json(), indent=1))
    click.echo(
        f"{done.parameters:,} parameters at density {done.density:g}, alpha {done.alpha:g}: "
        f"{done.bits_per_parameter:.2f} bits each; {done.kept:,} of the new head and others kept as they are. "
        f"On disk {done.bytes_before:,} bytes before, {done.bytes_after:,} after."
    )
    if done.before and done.after:
        for part in ("validation", "test"):
            before, after = (getattr(scores, f"{part}_score") for scores in (done.before, done.after))
            click.echo(f"{part} {done.metric}: {before:.4f} before, {after:.4f} after")
    click.echo(f"Adapter and compressed.safetensors in {done.folder}")
