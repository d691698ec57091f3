"""StudyResult -> plotly figures. Imports no torch."""

import html
import json
import warnings

import numpy as np
import plotly.graph_objects as go

from autopeft.base.pareto import hypervolume
from autopeft.configuration import called
from autopeft.front import FrontPoint, front_of, point_of_trial
from autopeft.report.tables import all_points
from autopeft.study.records import StudyResult

ROLES = {
    "finalist": ("finalists", "#c2410c", "circle"),
    "baseline": ("baselines", "#1d4ed8", "square"),
    "ceiling": ("ceiling", "#4d7c0f", "diamond"),
    "trial": ("trials (validation, short runs)", "#9aa5b1", "circle-open"),
}
PALETTE = [
    "#c2410c",
    "#1d4ed8",
    "#4d7c0f",
    "#7e22ce",
    "#0f766e",
    "#eab308",
    "#be185d",
    "#334155",
    "#0369a1",
    "#0ea5e9",
    "#15803d",
]
LAYOUT = {
    "template": "plotly_white",
    "margin": {"l": 60, "r": 40, "t": 56, "b": 50},
    "modebar": {"orientation": "v"},  # beside the plot: above it, it covers the legend
    "height": 460,
    "font": {"size": 13},
    "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.0},
}


def shown(trainable: int) -> int:
    """Parameters on a log axis: the linear probe has none beside the head and stands at 1."""
    return max(1, trainable)


def hover(point: FrontPoint) -> str:
    """The whole configuration, escaped: names come from the user."""
    score = f"{point.score.mean:.4f}" + (f" ± {point.score.half:.4f}" if point.score.half == point.score.half else "")
    settings = "<br>".join(f"{html.escape(k)} = {html.escape(str(v))}" for k, v in point.configuration.settings)
    c = point.configuration
    how = "" if c.procedure == "plain" else f"{html.escape(called(c.procedure, c.procedure_settings))}<br>"
    return (
        f"<b>{html.escape(point.name)}</b><br>{html.escape(c.method)}<br>{settings}<br>{how}layers "
        f"{list(point.configuration.layers)}<br>lr {point.configuration.learning_rate:.3g}<br>{point.trainable:,} parameters "
        f"({point.percent:.3f} %)<br>score {score}"
    )


def picked(point: FrontPoint) -> str:
    """What a click on a point shows."""
    facts = {
        "name": point.name,
        "score": round(point.score.mean, 5),
        "trainable": point.trainable,
        **point.configuration.to_json(),
    }
    return json.dumps(facts, indent=1)


def scatter(points: list[FrontPoint], name: str, colour: str, symbol: str, bars: bool = True) -> go.Scatter:
    halves = [p.score.half if p.score.half == p.score.half else 0 for p in points]
    return go.Scatter(
        x=[shown(p.trainable) for p in points],
        y=[p.score.mean for p in points],
        mode="markers",
        name=name,
        marker={"color": colour, "symbol": symbol, "size": 10},
        text=[hover(p) for p in points],
        hoverinfo="text",
        customdata=[picked(p) for p in points],
        error_y={"type": "data", "array": halves, "thickness": 1} if bars and any(halves) else None,
    )


def pareto(result: StudyResult) -> go.Figure:
    """Score against parameters: the front as steps, finalists and baselines with intervals, trials behind them."""
    figure = go.Figure(layout=LAYOUT)
    points = all_points(result)
    if not any(p.role == "trial" for p in points):
        points += [point_of_trial(t, result) for t in result.complete]
    groups: dict[str, list[FrontPoint]] = {}
    for point in points:
        groups.setdefault(point.role, []).append(point)
    for role in ("trial", "baseline", "ceiling", "finalist"):
        if role in groups:
            figure.add_trace(scatter(groups[role], *ROLES[role]))
    members = front_of(result).points
    figure.add_scatter(
        x=[shown(p.trainable) for p in members],
        y=[p.score.mean for p in members],
        mode="lines",
        name="front",
        line={"shape": "hv", "color": "#c2410c", "width": 2},
        hoverinfo="skip",
    )
    if result.budget:
        figure.add_vline(x=result.budget, line={"dash": "dot", "color": "#64748b"})
        at = float(np.log10(result.budget))  # on a log axis a label stands at the exponent, a line at the value
        figure.add_annotation(x=at, y=1, yref="paper", text="budget", showarrow=False, xanchor="left", yanchor="top")
    return axes(figure, result)


def by_method(result: StudyResult) -> go.Figure:
    """The trials, coloured by method."""
    figure = go.Figure(layout=LAYOUT)
    groups: dict[str, list[FrontPoint]] = {}
    for trial in result.complete:
        groups.setdefault(trial.configuration.method, []).append(point_of_trial(trial, result))
    for i, (method, points) in enumerate(sorted(groups.items())):
        figure.add_trace(scatter(points, method, PALETTE[i % len(PALETTE)], "circle", bars=False))
    return axes(figure, result)


def axes(figure: go.Figure, result: StudyResult) -> go.Figure:
    figure.update_xaxes(type="log", title="trainable parameters, task head aside (log scale)")
    figure.update_yaxes(title=result.task["metric"])
    return figure


def hypervolume_over_trials(result: StudyResult) -> go.Figure:
    """The area that the trials so far dominate, in (log10 parameters, score), against the worst of both."""
    points = np.array([[np.log10(shown(t.trainable)), -t.score] for t in result.complete])
    reference = points.max(axis=0) + 1e-9
    values = [hypervolume(points[: i + 1], reference) for i in range(len(points))]
    figure = go.Figure(
        go.Scatter(
            x=[t.number for t in result.complete],
            y=values,
            mode="lines+markers",
            line={"shape": "hv", "color": "#c2410c"},
        ),
        LAYOUT,
    )
    return figure.update_xaxes(title="trial").update_yaxes(title="hypervolume")


def layers(result: StudyResult) -> go.Figure:
    """Score per layer; for the semantic trace also the deviation with its interval; the cut as a line."""
    scores = result.scores
    figure = go.Figure(layout=LAYOUT)
    figure.add_bar(
        x=list(range(len(scores.scores))),
        y=list(scores.scores),
        name=f"score ({scores.scorer})",
        marker_color="#93c5fd",
    )
    if "deviation" in scores.details:
        after = [k - 0.5 for k in range(len(scores.details["deviation"]))]
        low, high = zip(*scores.details["deviation_interval"])
        figure.add_scatter(
            x=[*after, *after[::-1]],
            y=[*high, *low[::-1]],
            fill="toself",
            fillcolor="rgba(194,65,12,.15)",
            mode="none",
            name="95 % interval",
            hoverinfo="skip",
            yaxis="y2",
        )
        figure.add_scatter(
            x=after, y=scores.details["deviation"], name="semantic deviation", line={"color": "#c2410c"}, yaxis="y2"
        )
        second = {"overlaying": "y", "side": "right", "title": "deviation", "showgrid": False}
        figure.update_layout(yaxis2=second, margin={"r": 100})
    figure.add_vline(
        x=scores.cut - 0.5, line={"dash": "dash", "color": "#334155"}, annotation_text=f"cut: freeze {scores.cut}"
    )
    return figure.update_xaxes(title="layer (0 is nearest the embeddings)").update_yaxes(
        title="worth training", selector={"side": None}
    )


def learning_curves(result: StudyResult) -> go.Figure:
    """Validation loss over steps: full-length runs (mean over seeds) if there are any, else the trials."""
    figure = go.Figure(layout=LAYOUT)
    runs = [(o.name, o.curves) for o in result.outcomes] or [(f"trial {t.number}", (t.curve,)) for t in result.complete]
    for i, (name, curves) in enumerate(runs):
        figure.add_scatter(
            x=curves[0].steps,
            y=np.mean([c.validation_loss for c in curves], axis=0),
            name=name,
            mode="lines+markers",
            line={"color": PALETTE[i % len(PALETTE)]},
        )
    return figure.update_xaxes(title="step").update_yaxes(title="validation loss")


def parameter_importances(study) -> go.Figure:
    """Which dimension of the space decides whether a trial is good (PED-ANOVA of Optuna)."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one for every parameter that few trials share
        found = optuna.importance.get_param_importances(study)
    names, values = list(found)[:15][::-1], list(found.values())[:15][::-1]
    return go.Figure(go.Bar(x=values, y=names, orientation="h", marker_color="#93c5fd"), LAYOUT).update_xaxes(
        title="importance"
    )
