"""Lists of equal rows -> tables in the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

PIPED_WIDTH = 160  # columns when stdout is not a terminal


def print_rows(rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """Print rows of the same keys as a table, numbers to the right."""
    table = Table(title=title, title_justify="left")
    for column, value in rows[0].items():
        table.add_column(column, justify="right" if isinstance(value, int | float) else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(cell, row.values()))
    plain: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}  # names may hold [b] or :x:
    console = Console(**plain)
    (console if console.is_terminal else Console(**plain, width=PIPED_WIDTH)).print(table)


def cell(value: Any) -> str:
    """A value as a table's cell shows it."""
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
