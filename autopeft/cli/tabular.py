"""The commands of tabular benchmarks: `benchmark` builds one, `fidelity` and `replay` analyse it."""

import json
from pathlib import Path
from typing import Any

import click

from autopeft.base.errors import AutopeftError
from autopeft.base.progress import Progress
from autopeft.cli.main import commands
from autopeft.cli.options import as_json, quiet, study_options
from autopeft.report.rows import print_rows


@commands.command()
@click.option("--study", default="benchmark", show_default=True, help="A study in studies/ or a YAML file.")
@click.option("--out", required=True, type=click.Path(), help="The benchmark: NAME.csv, with NAME.json beside it.")
@click.option(
    "--configurations", default=128, show_default=True, type=click.IntRange(min=1), help="Size of the sample."
)
@quiet
@study_options
def benchmark(study: str, out: str, configurations: int, quiet: bool, **overrides: Any) -> None:
    r"""Train a spread sample of a space at full length and keep what every rung measured.

    The same command again resumes it.

    \b
    Example: autopeft benchmark --data vader-movies --configurations 128 --out studies/benchmarks/vader-movies.csv
    """
    from autopeft.prepare import prepare
    from autopeft.study.spec import StudySpec

    progress = Progress(quiet=quiet)
    if Path(out).suffix != ".csv":
        raise AutopeftError(f"--out {out} is no name for a benchmark: give NAME.csv.")
    prepared = prepare(StudySpec.read(study, **overrides), progress.note)

    from autopeft.tabular.build import build_benchmark  # loads torch: only now that nothing is wrong with the input

    built = build_benchmark(prepared, Path(out), configurations, progress)
    click.echo(f"{built.rows['configuration'].nunique()} configurations, {len(built.finished())} runs in {out}")


@commands.command()
@click.argument("benchmark", type=click.Path())
@click.option("--budget", help="Only the configurations within it: 0.5%, 300k or a number.")
@click.option("--objectives", help="What is weighed: train-flops,accuracy (default: parameters and its own metric).")
@as_json
def fidelity(benchmark: str, budget: str | None, objectives: str | None, json_: bool) -> None:
    r"""How well a short run predicts the test score at full length, and what promotion by rungs would keep.

    \b
    Example: autopeft fidelity studies/benchmarks/vader-movies.csv --budget 0.5%
    """
    from autopeft.report.benchmark import rounded
    from autopeft.tabular.fidelity import read_and_judge
    from autopeft.tabular.weighed import DEFAULT

    judged = read_and_judge(benchmark, budget, objectives or DEFAULT)
    if json_:
        return click.echo(json.dumps(judged, indent=1))
    print_rows(rounded(judged["fidelity"]), f"{benchmark}: signals of a run against its test score at full length")
    print_rows(rounded(judged["promotion"]), "promotion by rungs in searches of 27, 95 % intervals over 40 samples")


@commands.command()
@click.argument("benchmark", type=click.Path())
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
    help="none, or shares of the full length such as 1/4,1/2; several allowed.",
)
@click.option("--transfer", type=click.Path(), help="Another benchmark: begin with its front, and compare.")
@click.option("--seeds", default=20, show_default=True, type=click.IntRange(min=1), help="Searches of each kind.")
@click.option("--trials", default=60, show_default=True, type=click.IntRange(min=1), help="Trials of a search.")
@click.option("--budget", help="Only the configurations within it: 0.5%, 300k or a number.")
@click.option("--objectives", help="What is weighed: train-flops,accuracy (default: parameters and its own metric).")
@click.option("--out", type=click.Path(), help="Also write the curves as an HTML file.")
@as_json
def replay(
    benchmark: str,
    samplers: tuple[str, ...],
    importances: tuple[str, ...],
    rungs: tuple[str, ...],
    transfer: str | None,
    seeds: int,
    trials: int,
    budget: str | None,
    objectives: str | None,
    out: str | None,
    json_: bool,
) -> None:
    r"""Search a benchmark instead of training: which sampler finds its front, and what a prior, rungs or transfer add.

    \b
    Example: autopeft replay studies/benchmarks/vader-movies.csv --sampler tpe --sampler random --rungs 1/4,1/2
    """
    import numpy as np

    from autopeft.report.benchmark import bracketed, compact, search_figure
    from autopeft.study.sampler import check_sampler
    from autopeft.tabular.benchmark import TabularBenchmark
    from autopeft.tabular.comparison import compare, pair_rows, setup_rows, setups_of
    from autopeft.tabular.replay import Replay
    from autopeft.tabular.weighed import DEFAULT

    for name in samplers:
        check_sampler(name)
    if out and (Path(out).suffix != ".html" or not Path(out).resolve().parent.is_dir()):
        raise AutopeftError(f"--out {out} is no place for a figure: give NAME.html in a folder that exists.")
    setups = setups_of(samplers, importances, rungs, bool(transfer))
    other = TabularBenchmark.read(transfer) if transfer else None
    searched = Replay(TabularBenchmark.read(benchmark), budget, other, objectives or DEFAULT)
    for name in importances:  # unknown layer scores are refused before anything is searched
        searched.rows(name)
    compared = compare(searched, setups, seeds, trials)
    if out:
        search_figure({str(s): np.array([t.share for t in found]) for s, found in compared.items()}).write_html(out)
    found, pairs = setup_rows(compared), pair_rows(compared)
    if json_:
        return click.echo(json.dumps({"seeds": seeds, "searches": found, "pairs": pairs}, indent=1))
    print_rows(
        compact(found), f"{benchmark}: share of the hypervolume found, {seeds} seeds, mean ± half of the interval"
    )
    if pairs:
        print_rows(bracketed(pairs), "the same seeds with and without: differences with 95 % intervals")
