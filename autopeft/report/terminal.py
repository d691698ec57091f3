"""StudyResult -> the front as a table in the terminal. Imports no torch."""

import math

from rich.console import Console
from rich.table import Table

from autopeft.front import FrontPoint, front_of, verdict
from autopeft.report.tables import all_points, sampling_note
from autopeft.study.records import StudyResult

PIPED_WIDTH = 160  # columns when stdout is not a terminal


def print_front(result: StudyResult, console: Console | None = None) -> None:
    """The front, what is off it for comparison, and the verdict."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPED_WIDTH, file=console.file)
    front = front_of(result)
    members = {p.name for p in front.points}
    others = [p for p in all_points(result) if p.name not in members and (p.seeds or p.role == "trial")]
    table = Table(
        title=f"{result.task['metric']} against trainable parameters ({front.measured}; * on the front)",
        title_justify="left",
    )
    for column, justify in (
        ("", "left"),
        ("name", "left"),
        ("configuration", "left"),
        ("trainable", "right"),
        ("%", "right"),
        ("score", "right"),
        ("seeds", "right"),
    ):
        table.add_column(column, justify=justify, overflow="fold")
    for point in sorted(
        [*front.points, *(others if front.points and front.points[0].seeds else [])], key=lambda p: p.trainable
    ):
        table.add_row(
            "*" if point.name in members else "",
            point.name,
            str(point.configuration),
            f"{point.trainable:,}",
            f"{point.percent:.3f}",
            score_text(point, result.task["metric"]),
            str(point.seeds or "proxy"),
        )
    console.print(table)
    shapes = result.shapes
    head = (
        f"The task head ({', '.join(shapes.head_modules)}; {shapes.head_parameters:,} parameters) is trained by every "
        "method and counted apart."
        if shapes.head_modules
        else "The task has no head of its own: nothing but the method is trained."
    )
    console.print(
        f"{head} {sampling_note(result)}",
        soft_wrap=True,
        markup=False,
    )
    console.print(verdict(result).sentence, soft_wrap=True, markup=False)


def score_text(point: FrontPoint, metric: str = "") -> str:
    """Mean and half of the 95 % interval over seeds; a log-likelihood with its perplexity."""
    return f"{point.score.mean:.4f}" + (
        (f" ± {point.score.half:.4f}" if point.score.half == point.score.half else "")
        + (f" (perplexity {math.exp(-point.score.mean):.4g})" if metric == "log-likelihood" else "")
    )
