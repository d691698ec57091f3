"""The commands `search` and `report`."""

import json
import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from autopeft.base.files import writable
from autopeft.base.progress import Progress
from autopeft.cli.main import EXIT_INTERRUPTED, commands
from autopeft.cli.options import as_json, quiet, study_options
from autopeft.study.spec import StudySpec

if TYPE_CHECKING:
    from autopeft.result import Result


@commands.command()
@click.option(
    "--study",
    help="A study in studies/ or a YAML file; options override it (default: quickstart, unless --model or --data is "
    "given).",
)
@click.option("--out", type=click.Path(), help="Study folder (default: runs/NAME); the same command again resumes it.")
@click.option("--dry-run", is_flag=True, help="Say what would happen; load no weights, train nothing.")
@as_json
@quiet
@study_options
def search(study: str | None, out: str | None, dry_run: bool, json_: bool, quiet: bool, **overrides: Any) -> None:
    r"""Search for the Pareto front of trainable parameters against accuracy, or of other objectives.

    \b
    Examples:
      autopeft search --budget 0.5%
      autopeft search --model bert-base-uncased --data reviews.csv --label stars --budget 300k --trials 60
      autopeft search --objectives train-memory,accuracy --limit train-flops=0.6x
      autopeft search --space dcft --importance none --out runs/dcft
      autopeft search --model smollm2-135m --task choice --data openbookqa --max-length 64
    """
    import autopeft

    spec = StudySpec.read(study, **overrides)
    if dry_run:
        from autopeft.report.dry_run import dry_run_lines

        planned = autopeft.plan(spec, out)
        return click.echo(json.dumps(planned.to_json(), indent=1) if json_ else "\n".join(dry_run_lines(planned)))
    result = autopeft.search(spec, out, Progress(quiet=quiet))
    print_result(result, json_, Path(result.data.folder))
    if result.interrupted:
        sys.exit(EXIT_INTERRUPTED)


@commands.command()
@click.argument("study")
@click.option(
    "--margin", type=click.FloatRange(min=0, min_open=True), help=StudySpec.model_fields["margin"].description
)
@click.option(
    "--out", type=click.Path(), help="Folder of the files (default: the study folder, where it can be written)."
)
@as_json
def report(study: str, margin: float | None, out: str | None, json_: bool) -> None:
    r"""Print a study's front and write its HTML report, tables and JSON again.

    \b
    Examples:
      autopeft report runs/NAME
      autopeft report runs/NAME --margin 0.02
      autopeft report /shared/NAME --out my-report
    """
    from autopeft.result import Result

    result, folder = Result.open(study, margin=margin), Path(out or study)
    written = out is not None or writable(folder)
    if written:
        result.write_report(out)
    else:
        click.echo(f"autopeft: {study} cannot be written: --out FOLDER writes the report's files elsewhere.", err=True)
    print_result(result, json_, folder if written else None)


def print_result(result: "Result", json_: bool, report: Path | None) -> None:
    """Print a study's front, where its report lies if one was written, and what to do with it next."""
    from autopeft.report.tables import result_json
    from autopeft.report.terminal import print_front

    if json_:
        return click.echo(json.dumps(result_json(result.data), indent=1))
    print_front(result.data)
    folder = quote(result.data.folder)
    if report is not None:
        click.echo(f"Report: {quote(str(report))}/report.html")
    click.echo(f"Next: autopeft export {folder} --to peft    or    autopeft train {folder}")
