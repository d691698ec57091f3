"""The commands below `data`: the built-in data sets and the kinds of tasks."""

import json

import click

from autopeft.cli.main import commands
from autopeft.cli.options import as_json
from autopeft.report.rows import print_rows


@commands.group()
def data() -> None:
    """Look at the built-in data."""


@data.command("list")
def data_list() -> None:
    """The labelled data that autopeft can fetch from the package registry."""
    from autopeft.tasks.builtin import SOURCES, describe

    print_rows(
        [
            {k: v for k, v in describe(n).items() if k in ("name", "kind", "task", "rows", "classes", "megabytes")}
            for n in SOURCES
        ],
        "built-in data",
    )


@data.command("tasks")
@as_json
def data_tasks(json_: bool) -> None:
    r"""The kinds of tasks: the columns each looks for, its metrics (the first is the default), an example.

    \b
    Examples:
      autopeft data tasks
      autopeft search --model smollm2-135m --data quiz.csv --task choice
    """
    from autopeft.tasks.kind import all_kinds

    rows = [
        {
            "task": kind.name,
            "title": kind.title,
            "columns": kind.columns,
            "metrics": list(kind.metrics),
            "models": "decoders" if kind.decoders_only else "encoder-decoders" if kind.two_stacks else kind.modality,
            "example": kind.example,
        }
        for kind in all_kinds().values()
    ]
    if json_:
        return click.echo(json.dumps(rows, indent=1))
    print_rows([{**row, "metrics": ", ".join(row["metrics"])} for row in rows], "kinds of tasks")


@data.command("show")
@click.argument("name")
def data_show(name: str) -> None:
    """Source, licence, terms and size of one built-in data set."""
    from autopeft.tasks.builtin import describe

    for key, value in describe(name).items():
        click.echo(f"{key}: {value}")
