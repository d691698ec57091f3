"""Published runs of other people, two CSV files -> Runs. Imports no torch."""

from pathlib import Path

import numpy as np
import pandas as pd

from autopeft.base.errors import AutopeftError
from autopeft.tabular.runs import Runs, enough

RUNS = ("run", "trainable", "test_accuracy")
CURVES = ("run", "step", "train_loss", "valid_accuracy")


def is_published(path: str | Path) -> bool:
    """Whether a path is such a table: NAME_runs.csv with NAME_curves.csv beside it."""
    return str(path).endswith("_runs.csv") and curves_path(path).is_file() and Path(path).is_file()


def curves_path(path: str | Path) -> Path:
    return Path(str(path).removesuffix("_runs.csv") + "_curves.csv")


def read_published(path: str | Path) -> Runs:
    """One seed, rungs by step, truth = test accuracy. Runs that lack a rung are left out.

    Raises AutopeftError for a column that is missing or a file that is no CSV.
    """
    runs, curves = columns(path, RUNS), columns(curves_path(path), CURVES)
    runs = runs.dropna(subset=list(RUNS)).drop_duplicates("run").set_index("run")
    wide = curves[curves["run"].isin(runs.index)].pivot_table(index="run", columns="step", values=list(CURVES[2:]))
    wide = wide.dropna()
    enough(len(wide), path)
    runs = runs.loc[wide.index]
    signals = {"train_loss": wide["train_loss"].to_numpy(), "valid_accuracy": -wide["valid_accuracy"].to_numpy()}
    truth = {"score": -runs["test_accuracy"].to_numpy(float)}
    steps = np.array(wide["train_loss"].columns)
    return Runs(tuple(wide.index), runs["trainable"].to_numpy(float), steps, signals, truth)


def columns(path: str | Path, needed: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path)
    except (ValueError, pd.errors.ParserError) as error:
        raise AutopeftError(f"The table {path} cannot be read: {str(error).splitlines()[0]}.") from None
    missing = [c for c in needed if c not in table]
    if missing:
        raise AutopeftError(f"The table {path} has no column '{missing[0]}': it needs {', '.join(needed)}.")
    return table
