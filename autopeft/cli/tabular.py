"""The commands of tables of full-length truths: table builds one, fidelity and replay look into it."""

import json
from pathlib import Path

import click

from autopeft.base.errors import AutopeftError
from autopeft.base.progress import Progress
from autopeft.cli.look import print_rows
from autopeft.cli.main import as_json, commands, quiet, study_options


@commands.command()
@click.option("--study", default="benchmark", show_default=True, help="A study in studies/ or a YAML file.")
@click.option("--out", required=True, type=click.Path(), help="The table: NAME.csv, with NAME.json beside it.")
@click.option(
    "--configurations", default=128, show_default=True, type=click.IntRange(min=1), help="Size of the sample."
)
@quiet
@study_options
def table(study, out, configurations, quiet, **overrides) -> None:
    """Train a spread sample of a space at full length and keep every rung; the same command again goes on with it.

    \b
    Example: autopeft table --data vader-movies --configurations 128 --out studies/benchmarks/vader-movies.csv
    """
    from autopeft.prepare import prepare
    from autopeft.study.spec import load_spec

    progress = Progress(quiet=quiet)
    if Path(out).suffix != ".csv":
        raise AutopeftError(f"--out {out} is no name for a table: give NAME.csv.")
    prepared = prepare(load_spec(study, overrides), progress.note)

    from autopeft.tabular.build import build_table  # loads torch: only now that nothing is wrong with the input

    built = build_table(prepared, Path(out), configurations, progress)
    click.echo(f"{built.rows['configuration'].nunique()} configurations, {len(built.finished())} runs in {out}")


@commands.command()
@click.argument("table", type=click.Path())
@click.option("--budget", help="Only the configurations within it: 0.5%, 300k or a number.")
@as_json
def fidelity(table, budget, json_) -> None:
    """How well a short run foretells the full-length truth, and what promotion by rungs would keep.

    \b
    Example: autopeft fidelity studies/benchmarks/vader-movies.csv --budget 0.5%
    """
    from autopeft.tabular.fidelity import read_and_judge

    judged = read_and_judge(table, budget)
    if json_:
        return click.echo(json.dumps(judged, indent=1))
    print_rows(rounded(judged["fidelity"]), f"{table}: signals of a run against its test score at full length")
    print_rows(rounded(judged["promotion"]), "promotion by rungs in searches of 27, 95 % intervals over 40 samples")


@commands.command()
@click.argument("table", type=click.Path())
@click.option(
    "--sampler",
    "samplers",
    multiple=True,
    default=("tpe", "random"),
    show_default=True,
    help="tpe, tpe-multivariate, tpe-group, nsga2, random, gp; several allowed.",
)
@click.option(
    "--importance",
    "importances",
    multiple=True,
    default=("none",),
    show_default=True,
    help="Layer prior: none, trace, gradient or saving; several allowed.",
)
@click.option(
    "--rungs",
    multiple=True,
    default=("none",),
    show_default=True,
    help="none, or shares such as 1/4,1/2,1; several allowed.",
)
@click.option("--transfer", type=click.Path(), help="Another table: begin with its front, and compare.")
@click.option("--seeds", default=20, show_default=True, type=click.IntRange(min=1), help="Searches of each kind.")
@click.option("--trials", default=60, show_default=True, type=click.IntRange(min=1), help="Trials of a search.")
@click.option("--budget", help="Only the configurations within it: 0.5%, 300k or a number.")
@click.option("--out", type=click.Path(), help="Also write the curves as an HTML file.")
@as_json
def replay(table, samplers, importances, rungs, transfer, seeds, trials, budget, out, json_) -> None:
    """Search a table instead of training: which sampler finds its front, and what a prior, rungs or a transfer add.

    \b
    Example: autopeft replay studies/benchmarks/vader-movies.csv --sampler tpe --sampler random --rungs 1/4,1/2,1
    """
    from autopeft.study.sampler import check_sampler
    from autopeft.tabular.benchmark import TruthTable
    from autopeft.tabular.contest import arm_rows, arms_of, contest, figure, pair_rows
    from autopeft.tabular.replay import Replay

    for name in samplers:
        check_sampler(name)
    if out and (Path(out).suffix != ".html" or not Path(out).resolve().parent.is_dir()):
        raise AutopeftError(f"--out {out} is no place for a figure: give NAME.html in a folder that exists.")
    arms = arms_of(samplers, importances, rungs, bool(transfer))
    searched = Replay(TruthTable.read(table), budget, TruthTable.read(transfer) if transfer else None)
    for name in importances:
        searched.rows(name)
    courses = contest(searched, arms, seeds, trials)
    if out:
        figure(courses).write_html(out)
    found, pairs = arm_rows(courses), pair_rows(courses)
    if json_:
        return click.echo(json.dumps({"seeds": seeds, "searches": found, "pairs": pairs}, indent=1))
    print_rows(compact(found), f"{table}: share of the hypervolume found, {seeds} seeds, mean ± half of the interval")
    if pairs:
        print_rows(bracketed(pairs), "the same seeds with and without: differences with 95 % intervals")


def compact(rows: list[dict]) -> list[dict]:
    """ "x" and "x_half" -> one column "mean ± half"."""
    return [
        {
            k: f"{v:.3f}" + (f" ± {row[k + '_half']:.3f}" if row[k + "_half"] is not None else "")
            if k + "_half" in row
            else v
            for k, v in row.items()
            if not k.endswith("_half")
        }
        for row in rows
    ]


def bracketed(rows: list[dict]) -> list[dict]:
    """ "x", "x_low", "x_high" and "x_is" -> one column "x low to high: what it is"."""
    shown = []
    for row in rows:
        names = [k.removesuffix("_is") for k in row if k.endswith("_is")]
        texts = {n: f"{row[n]:+.3f}" for n in names}
        texts |= {
            n: f"{row[n]:+.3f} ({row[n + '_low']:+.3f} to {row[n + '_high']:+.3f}), {row[n + '_is']}"
            for n in names
            if row[n + "_low"] is not None
        }
        shown.append({"search": row["search"], "against": row["against"], **texts, "arrived": row["arrived"]})
    return shown


def rounded(rows: list[dict]) -> list[dict]:
    return [{k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()} for row in rows]
