"""StudyResult -> plotly figures of its points: the front, the methods, the hypervolume."""

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from autopeft.base.pareto import hypervolume
from autopeft.configuration import called
from autopeft.front import FrontPoint, front_of, point_of_trial
from autopeft.methods import family
from autopeft.objectives import Objective, Objectives
from autopeft.report.style import LAYOUT, PALETTE, ROLES
from autopeft.report.tables import all_points
from autopeft.study.records import StudyResult


def shown(objective: Objective, value: float) -> float:
    """A value on an axis: on a log axis what lies below 1 stands at 1 (the linear probe has no parameters)."""
    return max(1.0, value) if objective.scale == "log" else value


def hover(point: FrontPoint, objectives: Objectives) -> str:
    """The whole configuration, escaped: names come from the user."""
    c = point.configuration
    settings = "".join(f"{html.escape(k)} = {html.escape(str(v))}<br>" for k, v in c.settings)
    how = "" if c.procedure == "plain" else f"{html.escape(called(c.procedure, c.procedure_settings))}<br>"
    values = "<br>".join(f"{html.escape(o.name)} {value_of(point, o)}" for o in objectives)
    return (
        f"<b>{html.escape(point.name)}</b><br>{html.escape(c.method)}<br>{settings}{how}layers {list(c.layers)}<br>"
        f"lr {c.learning_rate:.3g}<br>{point.percent:.3f} % of the parameters<br>{values}"
    )


def value_of(point: FrontPoint, objective: Objective) -> str:
    """A value with half of its interval, if there is one."""
    interval = point.values[objective.name]
    half = f" ± {interval.half:.4f}" if interval.half == interval.half and interval.half > 0 else ""
    return objective.text(interval.mean) + half


def picked(point: FrontPoint) -> str:
    """What a click on a point shows."""
    values = {name: round(interval.mean, 5) for name, interval in point.values.items()}
    facts = {"name": point.name, **values, "trainable": point.trainable, **point.configuration.to_json()}
    return json.dumps(facts, indent=1)


def scatter(
    points: Sequence[FrontPoint],
    across: Objective,
    objectives: Objectives,
    style: tuple[str, str, str],
    bars: bool = True,
) -> go.Scatter:
    """Points with intervals of their quality.

    Args:
        points: what is drawn.
        across: the objective of the x axis; the quality is on the y axis.
        objectives: the study's.
        style: name in the legend, colour and symbol.
        bars: whether intervals are drawn.
    """
    name, colour, symbol = style
    halves = [p.score.half if p.score.half == p.score.half else 0 for p in points]
    return go.Scatter(
        x=[shown(across, p.values[across.name].mean) for p in points],
        y=[p.score.mean for p in points],
        mode="markers",
        name=name,
        marker={"color": colour, "symbol": symbol, "size": 10},
        text=[hover(p, objectives) for p in points],
        hoverinfo="text",
        customdata=[picked(p) for p in points],
        error_y={"type": "data", "array": halves, "thickness": 1} if bars and any(halves) else None,
    )


def pareto(result: StudyResult, across: Objective | None = None) -> go.Figure:
    """The quality against another objective: the front, finalists and baselines with intervals, trials behind them.

    Args:
        result: the study's.
        across: the objective of the x axis (default: the first that is not the quality).
    """
    objectives, across = result.objectives, across or result.objectives.others[0]
    figure = go.Figure(layout=LAYOUT)
    points = all_points(result)
    if not any(p.role == "trial" for p in points):
        points += [point_of_trial(t, result) for t in result.complete]
    groups = grouped(points, lambda p: p.role)
    for role in ("trial", "baseline", "ceiling", "finalist"):
        if role in groups:
            figure.add_trace(scatter(groups[role], across, objectives, ROLES[role]))
    figure.add_trace(front_line(result, across))
    if across.name in result.limits:
        add_limit(figure, across, result.limits[across.name])
    return axes(figure, across, objectives)


def front_line(result: StudyResult, across: Objective) -> go.Scatter:
    """Rings around the front's members, which validation chose; of two objectives joined by a line."""
    members = sorted(front_of(result).points, key=lambda p: p.values[across.name].mean)
    flat = len(result.objectives) == 2
    rings = {"color": "rgba(0,0,0,0)", "size": 16, "line": {"color": "#c2410c", "width": 2}}
    return go.Scatter(
        x=[shown(across, p.values[across.name].mean) for p in members],
        y=[p.score.mean for p in members],
        mode="lines+markers" if flat else "markers",
        name="front (by validation)",
        line={"color": "#c2410c", "width": 1, "dash": "dot"},
        marker=rings,
        hoverinfo="skip",
    )


def add_limit(figure: go.Figure, across: Objective, most: float) -> None:
    """Draw a line where a limit is.

    Args:
        figure: the figure.
        across: the objective on its x axis.
        most: the limit, in the objective's unit.
    """
    figure.add_vline(x=most, line={"dash": "dot", "color": "#64748b"})
    at = float(np.log10(most)) if across.scale == "log" else most  # on a log axis a label stands at the exponent
    figure.add_annotation(x=at, y=1, yref="paper", text="limit", showarrow=False, xanchor="left", yanchor="top")


def parallel(result: StudyResult) -> go.Figure:
    """All points across all objectives, one axis each: the view of three and more objectives."""
    points, objectives = all_points(result), result.objectives
    members = {p.name for p in front_of(result).points}
    axes_ = []
    for o in objectives:
        values = [o.scaled(p.values[o.name].mean) for p in points]
        label = f"log10({o.name})" if o.scale == "log" else o.name
        axes_.append({"label": label, "values": values})
    colours = [float(p.name in members) for p in points]
    line = {"color": colours, "colorscale": [[0, "#cbd5e1"], [1, "#c2410c"]], "cmin": 0, "cmax": 1}
    return go.Figure(go.Parcoords(line=line, dimensions=axes_), LAYOUT).update_layout(margin={"r": 90, "t": 80})


def by_method(result: StudyResult) -> go.Figure:
    """The trials, coloured by method; the legend groups the methods by family."""
    figure, objectives = go.Figure(layout=LAYOUT), result.objectives
    figure.update_layout(legend={"orientation": "v", "x": 1.02, "y": 1.0, "yanchor": "top"}, margin={"r": 180})
    points = [point_of_trial(t, result) for t in result.complete]
    for i, (method, own) in enumerate(sorted(grouped(points, lambda p: p.configuration.method).items())):
        style = (method, PALETTE[i % len(PALETTE)], "circle")
        trace = scatter(own, objectives.others[0], objectives, style, bars=False)
        kind = family(own[0].configuration)
        figure.add_trace(trace.update(legendgroup=kind, legendgrouptitle={"text": kind}))
    return axes(figure, objectives.others[0], objectives)


def axes(figure: go.Figure, across: Objective, objectives: Objectives) -> go.Figure:
    """Name and scale the axes.

    Args:
        figure: the figure.
        across: the objective on the x axis.
        objectives: the study's; their quality is on the y axis.

    Returns:
        The figure.
    """
    scale = " (log scale)" if across.scale == "log" else ""
    figure.update_xaxes(type=across.scale, title=across.title + scale)
    return figure.update_yaxes(title=objectives.quality.title)


def hypervolume_over_trials(result: StudyResult) -> go.Figure:
    """The volume that the trials so far dominate, on the sampler's scale, against the worst of every objective."""
    points = np.array([point_of_trial(t, result).costs(result.objectives) for t in result.complete])
    reference = points.max(axis=0) + 1e-9
    values = [hypervolume(points[: i + 1], reference) for i in range(len(points))]
    line = {"shape": "hv", "color": "#c2410c"}
    trace = go.Scatter(x=[t.number for t in result.complete], y=values, mode="lines+markers", line=line)
    return go.Figure(trace, LAYOUT).update_xaxes(title="trial").update_yaxes(title="hypervolume")


def grouped(points: Iterable[FrontPoint], key: Any) -> dict[str, list[FrontPoint]]:
    """Points by what a function says of them."""
    groups: dict[str, list[FrontPoint]] = {}
    for point in points:
        groups.setdefault(key(point), []).append(point)
    return groups
