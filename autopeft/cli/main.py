"""The command line. Each command reads its arguments, calls one function and prints what it returns."""

import errno
import json
import os
import sys
import typing

import click

from autopeft.base.errors import AutopeftError
from autopeft.base.plugins import check_plugins
from autopeft.base.progress import Progress
from autopeft.study.spec import StudySpec

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def main() -> None:
    """Run a command; every expected failure is one sentence on stderr and a non-zero exit."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        sys.exit(commands.main(standalone_mode=False))
    except AutopeftError as error:
        stop(str(error))
    except click.UsageError as error:
        stop(error.format_message() + (f" Try '{error.ctx.command_path} --help'." if error.ctx else ""))
    except (click.Abort, KeyboardInterrupt):
        stop("Stopped.", EXIT_INTERRUPTED)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        stop(
            f"{error.strerror}{f': {error.filename}' if error.filename else ''}. Free some space or choose another folder with --out, "
            "then run the same command again: what was finished is kept."
        )


def stop(sentence: str, code: int = EXIT_BAD_INPUT) -> None:
    click.echo(f"autopeft: {sentence}", err=True)
    sys.exit(code)


class Commands(click.Group):
    """The commands that only look at things are in a file of their own; it is loaded with the first look at the group."""

    def list_commands(self, ctx):
        from autopeft.cli import data, look, tabular, train  # noqa: F401  (add their commands to this group)

        return super().list_commands(ctx)

    def get_command(self, ctx, name):
        self.list_commands(ctx)
        return super().get_command(ctx, name)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="autopeft")
def commands() -> None:
    """Search for the fine-tuning method, rank, layers and learning rate that suit your model, data and budget.

    \b
    Examples:
      autopeft search --budget 0.5%                        the built-in model and data, a few minutes
      autopeft search --model ./my-bert --data train.csv --budget 300k
      autopeft report runs/NAME                            open what it found
      autopeft export runs/NAME --to peft                  take the best configuration away
      autopeft train runs/NAME                             train it in full and save the adapter
    """
    check_plugins()


def options_of(model):
    """One option per field of a pydantic model: name, type and help stand in the model only."""

    def add(command):
        for name, field in reversed(model.model_fields.items()):
            flag = "--" + name.replace("_", "-")
            kinds = [t for t in (typing.get_args(field.annotation) or (field.annotation,)) if t is not type(None)]
            literals = [k for k in (field.annotation, *kinds) if typing.get_origin(k) is typing.Literal]
            if field.annotation is bool:
                option = click.option(f"{flag}/--no-{flag[2:]}", default=None, help=field.description)
            elif literals:
                option = click.option(flag, type=click.Choice(typing.get_args(literals[0])), help=field.description)
            else:
                option = click.option(flag, type=kinds[0], help=field.description)
            command = option(command)
        return command

    return add


study_options = options_of(StudySpec)
as_json = click.option("--json", "json_", is_flag=True, help="Print JSON on stdout and nothing else there.")
quiet = click.option("--quiet", is_flag=True, help="Print no progress.")


@commands.command()
@click.option(
    "--study",
    help="A study in studies/ or a YAML file; options override it (default: quickstart, unless --model or --data is given).",
)
@click.option("--out", type=click.Path(), help="Study folder (default: runs/NAME); the same command again resumes it.")
@click.option("--dry-run", is_flag=True, help="Say what would happen; load no weights, train nothing.")
@as_json
@quiet
@study_options
def search(study, out, dry_run, json_, quiet, **overrides) -> None:
    """Search for the Pareto front of trainable parameters against accuracy.

    \b
    Examples:
      autopeft search --budget 0.5%
      autopeft search --model bert-base-uncased --data reviews.csv --label stars --budget 300k --trials 60
      autopeft search --space dcft --importance none --out runs/dcft
      autopeft search --model smollm2-135m --task choice --data openbookqa --max-length 64
    """
    import autopeft

    if dry_run:
        return print_plan(autopeft.plan(study, out, **overrides), json_)
    result = autopeft.search(study, out, Progress(quiet=quiet), **overrides)
    print_result(result, json_)
    if result.interrupted:
        sys.exit(EXIT_INTERRUPTED)


def print_plan(plan: dict, json_: bool) -> None:
    if json_:
        return click.echo(json.dumps(plan, indent=1))
    from autopeft.tasks.task import asked

    task = plan["task"]
    click.echo(
        f"Data: {task['name']}, {asked(task)}, {task['train']:,} / {task['validation']:,} / {task['test']:,} rows."
    )
    head = f"; the head's {plan['head_parameters']:,} are counted apart" if plan["head_parameters"] else ""
    click.echo(f"Backbone: {plan['backbone_parameters']:,} parameters{head}.")
    click.echo(f"Budget: {plan['budget']:,} trainable parameters." if plan["budget"] else "Budget: none.")
    click.echo(f"Space: {plan['configurations']:,} configurations of {', '.join(plan['methods'])}.")
    for method, why in plan["refused"].items():
        click.echo(f"Left out: {method} ({why}).")
    for method in plan["over_budget"]:
        click.echo(f"Left out: {method} (its smallest configuration is over the budget).")
    click.echo(
        f"Would run {plan['trials']} trials, compared at steps {', '.join(str(r['steps']) for r in plan['rungs'])}, then up to {plan['finalists']} finalists and these "
        f"baselines for {plan['full_steps']} steps with {plan['seeds']} seeds each:"
    )
    for baseline in plan["baselines"]:
        click.echo(f"  {baseline['name']}: {baseline['configuration']}, {baseline['trainable']:,} parameters")
    click.echo(f"Into {plan['folder']}. Nothing was trained.")


def print_result(result, json_: bool) -> None:
    from autopeft.report import print_front, result_json

    if json_:
        return click.echo(json.dumps(result_json(result.data), indent=1))
    print_front(result.data)
    folder = result.data.folder
    click.echo(
        f"Report: {folder}/report.html\nNext: autopeft export {folder} --to peft    or    autopeft train {folder}"
    )


@commands.command()
@click.argument("study")
@as_json
def report(study, json_) -> None:
    """Print a study's front and write its HTML report, tables and JSON again."""
    from autopeft.result import Result

    result = Result.open(study)
    result.write_report()
    print_result(result, json_)


@commands.command()
@click.argument("study")
@click.option("--to", default="peft", show_default=True, help="Toolkit (see --verdicts).")
@click.option("--trial", default="best", show_default=True, help="best, knee or a trial's number.")
@click.option("--out", type=click.Path(), help="Folder (default: STUDY/export/TOOLKIT).")
@click.option("--verdicts", is_flag=True, help="Only say what each toolkit can express of it.")
@click.option("--dry-run", is_flag=True, help="Only say what would be written.")
@as_json
def export(study, to, trial, out, verdicts, dry_run, json_) -> None:
    """Write a configuration as a toolkit's own files.

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


def print_verdicts(case, json_: bool) -> None:
    """A row per toolkit: what it can express of a configuration."""
    from autopeft.cli.look import print_rows
    from autopeft.export import verdicts

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
@as_json
@quiet
def compress(adapter, study, density, alpha, tune, out, json_, quiet) -> None:
    """Reduce a saved adapter to the signs of its largest updates (ComPEFT).

    \b
    Writes compressed.safetensors, which keeps about a third of a bit to one and a half bits per parameter, and beside
    it the same adapter as peft loads it.
    Example: autopeft compress runs/NAME/adapters/best --tune
    """
    import autopeft

    done = autopeft.compress(adapter, density, alpha, tune, study, out, Progress(quiet=quiet))
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
