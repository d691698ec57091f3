"""The answer per budget -> a table in the terminal, and for the page a table and a small figure."""

from html import escape

import plotly.graph_objects as go
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from autopeft.front import BestWithin, per_budget, point_of
from autopeft.front.comparison import Comparison, amount, in_points, margin_of
from autopeft.report.style import LAYOUT, LINES
from autopeft.study.candidates import UNIFORM_LORA, USUAL_GUESS
from autopeft.study.records import StudyResult

TITLE = "The best per budget, by validation"
BASELINES = (UNIFORM_LORA, USUAL_GUESS)
CONFIGURATION_WIDTH = 27  # columns of the terminal; the others and the gaps take about 53


def budget_table(result: StudyResult) -> Table | None:
    """The best at the full budget and at shares of it, for the terminal; None where there is no such answer."""
    rows = per_budget(result)
    if not rows:
        return None
    table = Table(title=TITLE, title_justify="left", caption=note(result), caption_justify="left", box=SIMPLE_HEAD)
    table.leading, table.show_edge, table.pad_edge, table.padding = 1, False, False, 0
    for head in heads(result):
        if head == "best":
            table.add_column(head, overflow="fold", max_width=CONFIGURATION_WIDTH)
        else:
            table.add_column(head.replace(" ", "\n"), justify="left" if head == "budget" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text("\n".join(lines)) for lines in cells(row, result)))
    return table


def budget_html(result: StudyResult) -> str:
    """The same table for the page; empty where there is no such answer."""
    rows = per_budget(result)
    if not rows:
        return ""
    head = "".join(f"<th>{escape(x)}</th>" for x in heads(result))
    body = "".join(f"<tr>{''.join(map(cell_html, cells(row, result)))}</tr>" for row in rows)
    return (
        f"<div class=scroll><table class=budgets><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f"<p class=note>{escape(note(result))}</p>"
    )


def cell_html(lines: tuple[str, ...]) -> str:
    """A cell of the page."""
    return f"<td>{'<br>'.join(map(escape, lines))}</td>"


def heads(result: StudyResult) -> tuple[str, ...]:
    """What stands above the columns of `cells`."""
    return ("budget", "best", "parameters", result.objectives.quality.name, *(f"against {name}" for name in BASELINES))


def cells(row: BestWithin, result: StudyResult) -> tuple[tuple[str, ...], ...]:
    """A row of the table, each cell in lines."""
    point, score = row.point, row.point.score
    return (
        (*from_to([str(s) if s < 1 else "full" for s in row.shares]), *from_to([f"{b:,}" for b in row.budgets])),
        (point.name, str(point.configuration)),
        (f"{point.trainable:,}", f"{point.percent:.3f} %"),
        (point.quality.text(score.mean), *([f"± {score.half:.4f}"] if score.half == score.half else [])),
        *(gain_lines(row.gains.get(name), "itself" if name == point.name else "not trained") for name in BASELINES),
    )


def from_to(values: list[str]) -> tuple[str, ...]:
    """The first and the last in two lines, a single one in one."""
    return (values[0], f"to {values[-1]}") if len(values) > 1 else (values[0],)


def gain_lines(gain: Comparison | None, otherwise: str) -> tuple[str, ...]:
    """The word, the difference and half of its interval."""
    if gain is None:
        return (otherwise,)
    mean, half = (amount(x, gain.points, sign) for x, sign in ((gain.gap.mean, "+"), (gain.gap.half, "")))
    lines = (gain.word, mean, *([f"± {half}"] if gain.gap.half == gain.gap.half else []))
    return tuple(line.removesuffix(" points") for line in lines)


def note(result: StudyResult) -> str:
    """What the numbers are, and how large the baselines are."""
    points = in_points(result)
    sizes = [f"{o.name} {o.trainable:,}" for name in BASELINES for o in result.outcomes if o.name == name]
    return (
        f"Scores and differences{' (in points)' if points else ''} on the test split with half of their 95 % "
        f"intervals; equivalent: within {amount(margin_of(result), points, sign='')}."
        + (f" Parameters: {', '.join(sizes)}." if sizes else "")
    )


def budget_figure(result: StudyResult) -> go.Figure | None:
    """The best's score over the budget, beside uniform LoRA's and the usual guess's; None for fewer than two budgets."""
    steps = [(budget, row.point) for row in reversed(per_budget(result)) for budget in reversed(row.budgets)]
    if len(steps) < 2:
        return None
    budgets, points = zip(*steps)
    figure = go.Figure(layout=LAYOUT).update_layout(height=300)
    for outcome in (o for o in result.outcomes if o.name in BASELINES):
        score = point_of(outcome, result).score.mean
        figure.add_scatter(
            x=[budgets[0], budgets[-1]], y=[score, score], mode="lines", name=outcome.name, line=LINES[outcome.name]
        )
    halves = [p.score.half if p.score.half == p.score.half else 0 for p in points]
    figure.add_scatter(
        x=budgets,
        y=[p.score.mean for p in points],
        error_y={"type": "data", "array": halves, "thickness": 1} if any(halves) else None,
        mode="lines+markers",
        name="the best within the budget",
        line=LINES["best"],
        text=[f"{escape(p.name)}, {escape(str(p.configuration))}" for p in points],
    )
    figure.update_xaxes(type="log", title="budget of trainable parameters (log scale)")
    return figure.update_yaxes(title=result.objectives.quality.title)
