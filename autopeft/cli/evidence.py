"""The commands of the benchmark of tasks."""

from pathlib import Path

import click

from autopeft.base.progress import Progress
from autopeft.cli.main import commands
from autopeft.cli.options import quiet


@commands.command()
@click.argument("names", nargs=-1)
@click.option(
    "--cells", default="studies/evidence/cells.yaml", show_default=True, type=click.Path(), help="What to train."
)
@click.option("--candidates", type=click.IntRange(min=1), help="Only the first so many candidates.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes that train side by side.")
@quiet
def evidence(names: tuple[str, ...], cells: str, candidates: int | None, workers: int | None, quiet: bool) -> None:
    r"""Train candidates of every method on the tasks of the benchmark from which portfolios and rates are learnt.

    Hours; the same command again resumes it. Without NAMES every task is trained, in the file's order.

    \b
    Example: autopeft evidence reuters brown-pos
    """
    from autopeft.backbone.sizes import shapes_of
    from autopeft.prepare import prepare
    from autopeft.tabular.candidates import candidates as of_reference
    from autopeft.tabular.cells import read_cells
    from autopeft.tabular.evidence_building import build_evidence

    progress, found = Progress(quiet=quiet), read_cells(cells, names)
    relatives = of_reference(shapes_of(found.reference, 2))
    for name, cell in found.cells.items():
        prepared = prepare(cell.spec.model_copy(update={"workers": workers or cell.spec.workers}), progress.note)
        some = relatives[: candidates or cell.candidates]
        built = build_evidence(prepared, Path(cells).parent / f"{name}.jsonl", some, progress)
        click.echo(f"{name}: {len(built.runs)} runs")


@commands.command()
@click.option("--evidence", "folder", default="studies/evidence", show_default=True, type=click.Path())
@click.option("--without", multiple=True, help="A task or backbone to leave out; several allowed.")
@click.option("--out", type=click.Path(), help="A folder to write to (default: into the package).")
def learn(folder: str, without: tuple[str, ...], out: str | None) -> None:
    r"""Learn the portfolio and the learning rates, with which searches begin, from the benchmark of tasks.

    \b
    Example: autopeft learn --without minilm-l3 --out learnt
    """
    from autopeft.tabular.learning import learn as learn_from
    from autopeft.tabular.learning import read_tables, write_learnt

    tables = read_tables(folder, without)
    write_learnt(learn_from(tables), tables, out)
    click.echo(f"Learnt from {len(tables)} tables: {', '.join(t.name for t in tables)}.")
