"""Draws and formats what searches over a tabular benchmark found."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from autopeft.front.intervals import over_seeds
from autopeft.report.style import LAYOUT, PALETTE


def search_figure(shares: Mapping[str, np.ndarray]) -> go.Figure:
    """Draw the share of the benchmark's hypervolume over trials, a line and a band (95 % interval) per search.

    Args:
        shares: By the search's name, (seeds, trials) shares of the hypervolume.
    """
    drawn = go.Figure(layout=LAYOUT)
    for number, (name, found) in enumerate(shares.items()):
        colour = PALETTE[number % len(PALETTE)]
        inside = [over_seeds(column) for column in np.asarray(found).T]
        trials = list(range(1, len(inside) + 1))
        mean = [i.mean for i in inside]
        low = [i.low if i.low == i.low else i.mean for i in inside]  # a single seed has no interval
        high = [i.high if i.high == i.high else i.mean for i in inside]
        band = {"line": {"width": 0}, "legendgroup": name, "showlegend": False, "hoverinfo": "skip", "mode": "lines"}
        drawn.add_scatter(x=trials, y=low, **band)
        drawn.add_scatter(x=trials, y=high, fill="tonexty", fillcolor=faint(colour), **band)
        drawn.add_scatter(x=trials, y=mean, name=name, legendgroup=name, line={"color": colour}, mode="lines")
    return drawn.update_xaxes(title="trials").update_yaxes(title="share of the benchmark's hypervolume")


def faint(colour: str) -> str:
    """Make a colour such as "#c2410c" nearly transparent."""
    return "rgba({},{},{},0.15)".format(*(int(colour[i : i + 2], 16) for i in (1, 3, 5)))


def compact(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Join the columns "x" and "x_half" into one, "mean ± half"."""
    return [{k: with_half(row, k) for k in row if not k.endswith("_half")} for row in rows]


def with_half(row: Mapping[str, Any], name: str) -> Any:
    """A value as it is, or as text with half its interval where it has one."""
    if name + "_half" not in row:
        return row[name]
    half = row[name + "_half"]
    return f"{row[name]:.3f}" + (f" ± {half:.3f}" if half is not None else "")


def bracketed(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Join the columns "x", "x_low", "x_high" and "x_is" into one, "x (low to high), what it is"."""
    shown = []
    for row in rows:
        names = [k.removesuffix("_is") for k in row if k.endswith("_is")]
        texts = {n: with_interval(row, n) for n in names}
        shown.append({"search": row["search"], "against": row["against"], **texts, "arrived": row["arrived"]})
    return shown


def with_interval(row: Mapping[str, Any], name: str) -> str:
    """A difference as text, with its interval and word where it has an interval."""
    low, high = row[name + "_low"], row[name + "_high"]
    if low is None:
        return f"{row[name]:+.3f}"
    return f"{row[name]:+.3f} ({low:+.3f} to {high:+.3f}), {row[name + '_is']}"


def rounded(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Round floats to three digits."""
    return [{k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()} for row in rows]
