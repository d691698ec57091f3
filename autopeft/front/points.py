"""Anybody's table of results -> its Pareto front, printed, drawn as text and as a figure. Imports no torch."""

import html
import json
from pathlib import Path

import click
import numpy as np
import pandas as pd

from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.base.files import write_whole
from autopeft.base.pareto import non_dominated

WIDTH, HEIGHT = 72, 18  # characters of the text figure


def read_points(path: str, columns: list[str]) -> tuple[pd.DataFrame, int]:
    """The rows whose given columns are all finite numbers, and how many others there were. Raises AutopeftError."""
    if not Path(path).is_file():
        raise AutopeftError(f"There is no file {path}: give a CSV file with one row per result.")
    try:
        table = pd.read_csv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise AutopeftError(f"{path} cannot be read as CSV: {' '.join(str(error).split())}") from None
    for column in columns:
        if column not in table.columns:
            raise AutopeftError(f"{path} has no column '{column}'." + did_you_mean(column, map(str, table.columns)))
    numbers = table[columns].apply(pd.to_numeric, errors="coerce").replace([np.inf, -np.inf], np.nan)
    usable = numbers.notna().all(axis=1)
    if not usable.any():
        raise AutopeftError(f"{path} has no row with numbers in {', '.join(columns)}.")
    table = table[usable].copy()
    table[columns] = numbers[usable]
    return table, int((~usable).sum())


def points_front(
    path: str, minimize: tuple[str, ...], maximize: tuple[str, ...]
) -> tuple[pd.DataFrame, pd.Series, int]:
    """(all usable rows, mask of the front, rows left out). Raises AutopeftError for a missing file or column."""
    table, dropped = read_points(path, [*minimize, *maximize])
    signed = np.column_stack(
        [table[c].to_numpy(float) for c in minimize] + [-table[c].to_numpy(float) for c in maximize]
    )
    return table, pd.Series(non_dominated(signed), index=table.index), dropped


def print_points_front(
    path: str, minimize: tuple[str, ...], maximize: tuple[str, ...], out: str | None, json_: bool
) -> None:
    """Print the front as a table under a text figure (or as JSON), and write it as HTML if asked."""
    if out and Path(out).resolve() == Path(path).resolve():
        raise AutopeftError(f"--out {out} is the table itself: give the figure another name, such as front.html.")
    table, front, dropped = points_front(path, minimize, maximize)
    found = table[front].sort_values(minimize[0])
    if out:
        write_figure(table, front, minimize[0], maximize[0], Path(out))
    if json_:
        rows = json.loads(found.to_json(orient="records"))
        return click.echo(json.dumps({"points": len(table), "left_out": dropped, "front": rows}, indent=1))
    click.echo(draw(table, front, minimize[0], maximize[0]))
    click.echo(found.to_string(index=False, max_colwidth=48))
    click.echo(
        f"{len(found)} of {len(table)} points are on the front."
        + (f" {dropped} rows without numbers were left out." if dropped else "")
        + (f" Figure: {out}" if out else "")
    )


def log_scaled(values: pd.Series) -> bool:
    """Whether a column spans so much that a logarithm shows it better."""
    return bool(values.min() > 0 and values.max() / values.min() > 50)


def draw(table: pd.DataFrame, front: pd.Series, x: str, y: str) -> str:
    """A scatter of dots, the front as stars; x on a log scale where it spans more than a factor of 50."""
    log = log_scaled(table[x])
    across = np.log10(table[x]) if log else table[x]
    column = scaled(across, WIDTH - 1)
    row = HEIGHT - 1 - scaled(table[y], HEIGHT - 1)
    grid = [[" "] * WIDTH for _ in range(HEIGHT)]
    for marker, chosen in (("·", ~front), ("*", front)):
        for i in np.flatnonzero(chosen):
            grid[row[i]][column[i]] = marker
    ends = f"{table[x].min():.4g}" + f"{table[x].max():.4g}".rjust(WIDTH - len(f"{table[x].min():.4g}"))
    lines = [f"{y}, {table[y].min():.4g} to {table[y].max():.4g} (* front, · dominated)"]
    return "\n".join(
        [
            *lines,
            *("│" + "".join(r) for r in grid),
            "└" + "─" * WIDTH,
            " " + ends,
            " " + f"{x}{', log scale' if log else ''}".center(WIDTH),
        ]
    )


def scaled(values: pd.Series, top: int) -> np.ndarray:
    """Values to whole numbers 0..top."""
    span = values.max() - values.min()
    return (
        np.zeros(len(values), dtype=int)
        if span == 0
        else np.rint((values - values.min()) / span * top).astype(int).to_numpy()
    )


def write_figure(table: pd.DataFrame, front: pd.Series, x: str, y: str, out: Path) -> None:
    """The same as one self-contained HTML file; hovering over a point shows its whole row."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, chosen, colour in (("dominated", ~front, "#9aa5b1"), ("front", front, "#c2410c")):
        part = table[chosen].sort_values(x)
        cells = part.astype(str).to_dict("records")
        rows = ["<br>".join(html.escape(f"{k}: {v}") for k, v in row.items()) for row in cells]
        figure.add_scatter(
            x=part[x],
            y=part[y],
            name=name,
            text=rows,
            hoverinfo="text",
            marker={"color": colour, "size": 9},
            mode="lines+markers" if name == "front" else "markers",
            line={"shape": "hv", "color": colour},
        )
    figure.update_layout(
        template="plotly_white", xaxis_title=x, yaxis_title=y, xaxis_type="log" if log_scaled(table[x]) else "linear"
    )
    write_whole(out, figure.to_html(include_plotlyjs=True, full_html=True))
