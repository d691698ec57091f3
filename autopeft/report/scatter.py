"""A table of results as a scatter plot: as text and as a figure."""

import html
from pathlib import Path

import numpy as np
import pandas as pd

from autopeft.base.files import write_whole

WIDTH, HEIGHT = 72, 18  # characters of the text figure


def log_scaled(values: pd.Series) -> bool:
    """Whether a column spans so much that a log scale shows it better."""
    return bool(values.min() > 0 and values.max() / values.min() > 50)


def draw(table: pd.DataFrame, front: pd.Series, x: str, y: str) -> str:
    """Draw a scatter plot as text; x is on a log scale where it spans more than a factor of 50.

    Args:
        table: a row per result.
        front: whether each row is on the front, whose rows are drawn as stars.
        x: the column across.
        y: the column upwards.

    Returns:
        The lines of the plot.
    """
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
    """Scale values to whole numbers 0..top."""
    span = values.max() - values.min()
    return (
        np.zeros(len(values), dtype=int)
        if span == 0
        else np.rint((values - values.min()) / span * top).astype(int).to_numpy()
    )


def write_figure(table: pd.DataFrame, front: pd.Series, x: str, y: str, out: Path) -> None:
    """Write the scatter plot as one self-contained HTML file; hovering over a point shows its whole row.

    Args:
        table: a row per result.
        front: whether each row is on the front.
        x: the column across.
        y: the column upwards.
        out: the file.

    Raises:
        AutopeftError: the file cannot be written.
    """
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
