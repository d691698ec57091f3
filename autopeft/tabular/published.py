"""Runs that other people published, in two CSV files, as arrays."""

from pathlib import Path

import numpy as np
import pandas as pd

from autopeft.base.errors import AutopeftError
from autopeft.objectives.parameters import PARAMETERS
from autopeft.tabular.runs import Runs, check_enough
from autopeft.tabular.weighed import costs_of

RUNS = ("run", "trainable", "test_accuracy")
CURVES = ("run", "step", "train_loss", "valid_accuracy")


def is_published(path: str | Path) -> bool:
    """Whether a path is of published runs: NAME_runs.csv with NAME_curves.csv beside it."""
    return str(path).endswith("_runs.csv") and curves_path(path).is_file() and Path(path).is_file()


def curves_path(path: str | Path) -> Path:
    """The path of the curves: NAME_runs.csv -> NAME_curves.csv."""
    return Path(str(path).removesuffix("_runs.csv") + "_curves.csv")


def read_published(path: str | Path) -> Runs:
    """Read published runs: one seed, a rung per step of the curves, tested by accuracy. Runs without a rung are left out.

    Args:
        path: NAME_runs.csv.

    Raises:
        AutopeftError: A column is missing, a file is no CSV, or too few runs are whole.
    """
    runs, curves = columns(path, RUNS), columns(curves_path(path), CURVES)
    runs = runs.dropna(subset=list(RUNS)).drop_duplicates("run").set_index("run")
    wide = curves[curves["run"].isin(runs.index)].pivot_table(index="run", columns="step", values=list(CURVES[2:]))
    wide = wide.dropna()
    check_enough(len(wide), path)
    runs = runs.loc[wide.index]
    signals = {"train_loss": wide["train_loss"].to_numpy(), "valid_accuracy": -wide["valid_accuracy"].to_numpy()}
    trainable = runs["trainable"].to_numpy(float)
    counted = costs_of((PARAMETERS,), trainable[:, None])
    return Runs(
        tuple(wide.index),
        counted=counted.values,
        ends=counted.ends,
        steps=np.array(wide["train_loss"].columns),
        signals=signals,
        tested={"score": -runs["test_accuracy"].to_numpy(float)},
        probes=trainable == 0,
    )


def columns(path: str | Path, needed: tuple[str, ...]) -> pd.DataFrame:
    """Read a CSV file. Raises AutopeftError when it is none or lacks a column."""
    try:
        table = pd.read_csv(path)
    except (ValueError, pd.errors.ParserError) as error:
        raise AutopeftError(f"The file {path} cannot be read: {str(error).splitlines()[0]}.") from None
    missing = [c for c in needed if c not in table]
    if missing:
        raise AutopeftError(f"The file {path} has no column '{missing[0]}': it needs {', '.join(needed)}.")
    return table
