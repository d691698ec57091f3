"""A folder of evidence -> the portfolio, the rate rule, the gain model and the default space that come with autopeft."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from autopeft.base.errors import AutopeftError
from autopeft.base.files import write_whole
from autopeft.base.yaml_files import read_yaml
from autopeft.space import load_space
from autopeft.space.portfolio import FILE as PORTFOLIO
from autopeft.space.rates import FILE as RATES
from autopeft.surrogate.gain_model import FILE as GAINS
from autopeft.tabular.evidence import Evidence
from autopeft.tabular.gain_fitting import fit_gains
from autopeft.tabular.portfolio_building import portfolio_of
from autopeft.tabular.rate_fitting import fit_rates
from autopeft.tabular.task_table import TaskTable

ALWAYS = {"lora", "head_only"}  # in the default space
HEADER = "# Made by `autopeft learn` from {tables}. Do not edit: run it again.\n"


def read_tables(folder: str | Path, leave_out: Sequence[str] = ()) -> list[TaskTable]:
    """Read the tables of a folder of evidence.

    Args:
        folder: with a file per task and backbone.
        leave_out: tasks, backbones or names of files that are not read.

    Raises:
        AutopeftError: none is left, or a name is none of theirs.
    """
    tables = [TaskTable.of(Evidence.read(path)) for path in sorted(Path(folder).glob("*.jsonl"))]
    known = {name for t in tables for name in (t.name, t.task, t.shapes.name)}
    if unknown := next((name for name in leave_out if name not in known), None):
        raise AutopeftError(f"Nothing in {folder} is called '{unknown}': there are {', '.join(sorted(known))}.")
    kept = [t for t in tables if not {t.name, t.task, t.shapes.name} & set(leave_out)]
    if not kept:
        raise AutopeftError(f"{folder} holds no evidence to learn from.")
    return kept


def learn(tables: Sequence[TaskTable]) -> dict[str, Any]:
    """The portfolio, the rate rule and the gain model, as plain values; tasks without room say nothing."""
    model, telling = fit_gains(tables), [t for t in tables if t.has_room]
    entries = [c.to_json() for c in portfolio_of(tables, model)]
    portfolio = {"entries": entries, "methods": sorted(model.methods)}
    return {"portfolio": portfolio, "rates": fit_rates(telling).to_json(), "gains": model.to_json()}


def write_learnt(learnt: dict[str, Any], tables: Sequence[TaskTable], folder: str | Path | None = None) -> None:
    """Write the files.

    Args:
        learnt: what `learn` gave.
        tables: from which it was learnt, for the first line.
        folder: where; by default the package's own.
    """
    header = HEADER.format(tables=", ".join(t.name for t in tables))
    for file, data in ((PORTFOLIO, learnt["portfolio"]), (RATES, learnt["rates"])):
        path = Path(folder) / file.name if folder else file
        write_whole(path, header + yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=120))
    write_space(learnt["portfolio"]["entries"], header, Path(folder) / "default.yaml" if folder else None)
    path = Path(folder) / GAINS.name if folder else GAINS
    write_whole(path, json.dumps(learnt["gains"], separators=(",", ":")).replace("],[", "],\n[") + "\n")


def write_space(entries: Sequence[dict[str, Any]], header: str, path: Path | None) -> None:
    """Write the default space: the methods of the portfolio, LoRA and the linear probe, with the choices that were narrowed.

    Args:
        entries: of the portfolio.
        header: first line.
        path: of the file; None for the bundled one.
    """
    data, file = read_yaml("default", "search_spaces")
    methods = sorted({e["method"] for e in entries} | ALWAYS)
    narrowed = load_space("default").methods
    data["methods"] = {name: narrowed.get(name) or None for name in methods}
    text = yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=120)
    write_whole(path or file, header + text.replace(": null\n", ":\n"))
