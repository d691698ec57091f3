"""Any CSV table of results -> its Pareto front."""

from pathlib import Path

import numpy as np
import pandas as pd

from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.base.pareto import non_dominated


def read_table(path: str, columns: list[str]) -> tuple[pd.DataFrame, int]:
    """Read the rows whose given columns are all finite numbers.

    Args:
        path: a CSV file with one row per result.
        columns: the columns that must be numbers.

    Returns:
        The usable rows, and how many others there were.

    Raises:
        AutopeftError: there is no such file or column, or no usable row.
    """
    if not Path(path).is_file():
        raise AutopeftError(f"There is no file {path}: give a CSV file with one row per result.")
    try:
        table = pd.read_csv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise AutopeftError(
            f"{path} cannot be read as CSV ({' '.join(str(error).split())}): save it as a table in UTF-8."
        ) from None
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


def front_of_table(
    path: str, minimize: tuple[str, ...], maximize: tuple[str, ...]
) -> tuple[pd.DataFrame, pd.Series, int]:
    """Find the Pareto front of a table.

    Args:
        path: a CSV file with one row per result.
        minimize: columns where lower is better.
        maximize: columns where higher is better.

    Returns:
        The usable rows, whether each is on the front, and how many rows were left out.

    Raises:
        AutopeftError: there is no such file or column, or no usable row.
    """
    table, dropped = read_table(path, [*minimize, *maximize])
    signed = np.column_stack(
        [table[c].to_numpy(float) for c in minimize] + [-table[c].to_numpy(float) for c in maximize]
    )
    return table, pd.Series(non_dominated(signed), index=table.index), dropped
