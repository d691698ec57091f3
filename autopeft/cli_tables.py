"""The commands that look into a table of full-length truths: fidelity."""

import json

import click

from autopeft.cli import as_json, commands
from autopeft.cli_looks import print_rows


@commands.command()
@click.argument("table", type=click.Path())
@click.option("--budget", help="Only the configurations within it: 0.5%, 300k or a number.")
@as_json
def fidelity(table, budget, json_) -> None:
    """How well a short run foretells the full-length truth, and what promotion by rungs would keep.

    \b
    Example: autopeft fidelity studies/tables/vader-movies.csv --budget 0.5%
    """
    from autopeft.tables.fidelity import read_and_judge

    judged = read_and_judge(table, budget)
    if json_:
        return click.echo(json.dumps(judged, indent=1))
    print_rows(judged["fidelity"], f"{table}: signals of a run against its test score at full length")
    print_rows(judged["promotion"], "promotion by rungs, 20 random orders, 95 % intervals")
