"""The command `front`: the Pareto front of any table of results."""

import json
from pathlib import Path

import click

from autopeft.base.errors import AutopeftError
from autopeft.cli.main import commands
from autopeft.cli.options import as_json


@commands.command()
@click.option("--points", required=True, type=click.Path(), help="A CSV file, one row per result.")
@click.option("--minimize", required=True, multiple=True, metavar="COLUMN", help="A column to minimise.")
@click.option("--maximize", required=True, multiple=True, metavar="COLUMN", help="A column to maximise.")
@click.option("--out", type=click.Path(), help="Also write the figure as an HTML file.")
@as_json
def front(points: str, minimize: tuple[str, ...], maximize: tuple[str, ...], out: str | None, json_: bool) -> None:
    r"""Draw and print the Pareto front of any table of results.

    \b
    Example: autopeft front --points runs.csv --minimize trainable --maximize test_accuracy --out front.html
    """
    from autopeft.front.table import front_of_table
    from autopeft.report.scatter import draw, write_figure

    if out and Path(out).resolve() == Path(points).resolve():
        raise AutopeftError(f"--out {out} is the table itself: give the figure another name, such as front.html.")
    table, members, dropped = front_of_table(points, minimize, maximize)
    found = table[members].sort_values(minimize[0])
    if out:
        write_figure(table, members, minimize[0], maximize[0], Path(out))
    if json_:
        rows = json.loads(found.to_json(orient="records"))
        return click.echo(json.dumps({"points": len(table), "left_out": dropped, "front": rows}, indent=1))
    click.echo(draw(table, members, minimize[0], maximize[0]))
    click.echo(found.to_string(index=False, max_colwidth=48))
    click.echo(
        f"{len(found)} of {len(table)} points are on the front."
        + (f" {dropped} rows without numbers were left out." if dropped else "")
        + (f" Figure: {out}" if out else "")
    )
