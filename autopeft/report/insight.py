"""StudyResult -> plotly figures of how it came about: layers, learning curves, which parameter matters."""

import warnings

import numpy as np
import optuna
import plotly.graph_objects as go

from autopeft.report.style import LAYOUT, PALETTE
from autopeft.study.records import StudyResult


def layers(result: StudyResult) -> go.Figure:
    """Score per layer; for the semantic trace also the deviation with its interval; the cut as a line."""
    scores = result.scores
    assert scores is not None
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
    """Validation loss over steps: full-length runs (mean over the seeds that got so far) if there are any, else the trials."""
    figure = go.Figure(layout=LAYOUT)
    runs = [(o.name, o.curves) for o in result.outcomes]
    runs = runs or [(f"trial {t.number}", (t.curve,)) for t in result.complete if t.curve]
    for i, (name, curves) in enumerate(runs):
        losses: dict[int, list[float]] = {}
        for step, loss in (point for c in curves for point in zip(c.steps, c.validation_loss)):
            losses.setdefault(step, []).append(loss)
        figure.add_scatter(
            x=sorted(losses),
            y=[np.mean(losses[step]) for step in sorted(losses)],
            name=name,
            mode="lines+markers",
            line={"color": PALETTE[i % len(PALETTE)]},
        )
    return figure.update_xaxes(title="step").update_yaxes(title="validation loss")


def parameter_importances(study: optuna.Study) -> go.Figure:
    """Which dimension of the space decides whether a trial is good (PED-ANOVA of Optuna)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one for every parameter that few trials share
        found = optuna.importance.get_param_importances(study)
    names, values = list(found)[:15][::-1], list(found.values())[:15][::-1]
    return go.Figure(go.Bar(x=values, y=names, orientation="h", marker_color="#93c5fd"), LAYOUT).update_xaxes(
        title="importance"
    )
