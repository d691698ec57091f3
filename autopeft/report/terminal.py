"""StudyResult -> the front, the verdict and the best per budget in the terminal."""

import math
from typing import Any

from rich.console import Console
from rich.table import Table

from autopeft.front import FrontPoint, front_of, verdict
from autopeft.objectives import Objective, Scored
from autopeft.report.chosen import chosen_note
from autopeft.report.per_budget import budget_table
from autopeft.report.racing import racing_note
from autopeft.report.rows import PIPED_WIDTH
from autopeft.report.tables import all_points, intervals_note
from autopeft.study.records import StudyResult

BUDGET_WIDTH = 80  # columns at most of the table per budget


def print_front(result: StudyResult, console: Console | None = None) -> None:
    """Print the front, what is off it for comparison, the verdict, and the best per budget."""
    plain: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}  # names may hold [b] or :x:
    console = console or Console(**plain)
    if not console.is_terminal:
        console = Console(**plain, width=PIPED_WIDTH, file=console.file)
    console.print(front_table(result))
    console.print(f"{head_note(result)} {intervals_note(result)}".rstrip(), soft_wrap=True, markup=False)
    for note in filter(None, (racing_note(result), chosen_note(result))):
        console.print(note, soft_wrap=True, markup=False)
    for sentence in verdict(result).sentences:
        console.print(sentence, soft_wrap=True, markup=False)
    if table := budget_table(result):
        console.print("", table, sep="\n", width=min(BUDGET_WIDTH, console.width))


def front_table(result: StudyResult) -> Table:
    """The points by parameters, a column per objective."""
    front, objectives = front_of(result), result.objectives
    members = {p.name for p in front.points}
    full = bool(front.points and front.points[0].seeds)
    others = [p for p in all_points(result) if p.name not in members] if full else []
    against = ", ".join(o.name for o in objectives.others)
    table = Table(title=f"{objectives.quality.name} against {against} ({front.measured}; * on the front)")
    table.title_justify = "left"
    for column in ("", "name", "configuration"):
        table.add_column(column, overflow="fold")
    for column in (*(o.name for o in objectives), *(["validation"] if full else []), "% trainable", "seeds"):
        table.add_column(column, justify="right", overflow="fold")
    for point in sorted([*front.points, *others], key=lambda p: p.trainable):
        table.add_row(
            "*" if point.name in members else "",
            point.name,
            str(point.configuration),
            *(value_text(point, o) for o in objectives),
            *([objectives.quality.text(point.validation)] if full else []),
            f"{point.percent:.3f}",
            str(point.seeds or "proxy"),
        )
    return table


def head_note(result: StudyResult) -> str:
    """What is trained beside every method."""
    shapes = result.shapes
    if not shapes.head_modules:
        return "The task has no head of its own: nothing but the method is trained."
    return (
        f"The task head ({', '.join(shapes.head_modules)}; {shapes.head_parameters:,} parameters) is trained by every "
        "method and counted apart."
    )


def value_text(point: FrontPoint, objective: Objective) -> str:
    """Mean and half of the 95 % interval, where it varies; a log-likelihood with its perplexity."""
    interval = point.values[objective.name]
    text = objective.text(interval.mean)
    if interval.half == interval.half and interval.half > 0:
        text += f" ± {interval.half:.3g}" if objective.unit else f" ± {interval.half:.4f}"
    if isinstance(objective, Scored) and objective.perplexity:
        text += f" (perplexity {math.exp(-interval.mean):.4g})"
    return text
