"""A tabular benchmark: one row per configuration, seed and rung, in a CSV file with a JSON file beside it.

The last rung of a run is its full length. It alone carries the loss and score of the test split, which no rung has seen.
The JSON file (same name) says what the rows are of: study, data, sizes, layer scores, precision, versions, command.
"""

import csv
import io
import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration, spans
from autopeft.proxy.curve import Curve

COLUMNS = (
    "configuration",
    "method",
    "settings",
    "layers",
    "learning_rate",
    "trainable",
    "seed",
    "step",
    "train_loss",
    "validation_loss",
    "validation_score",
    "test_loss",
    "test_score",
    "seconds",
    "peak_memory_bytes",
)
PROCEDURE = "procedure"  # no method has a setting of that name; a column would not fit the files that there are


@dataclass(frozen=True, eq=False)
class TabularBenchmark:
    """The rows of a benchmark and what they are of.

    Attributes:
        path: The CSV file.
        rows: Its rows, with the columns `COLUMNS`.
        about: The JSON file: spec, task, shapes, budget, layer scores, environment.
    """

    path: Path
    rows: pd.DataFrame
    about: dict[str, Any]

    @classmethod
    def read(cls, path: str | Path) -> "TabularBenchmark":
        """Read a benchmark that `autopeft benchmark` wrote.

        Args:
            path: The CSV file; the JSON file of the same name is read too.

        Raises:
            AutopeftError: There is no such file, it cannot be read, or it lacks a column.
        """
        path = Path(path)
        if not path.is_file() or not path.with_suffix(".json").is_file():
            raise AutopeftError(
                f"There is no tabular benchmark {path} with its .json beside it: give a CSV file that "
                "'autopeft benchmark' made."
            )
        try:
            rows = pd.read_csv(path, dtype={"configuration": str})  # some keys look like numbers
            about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        except (ValueError, pd.errors.ParserError) as error:
            raise AutopeftError(f"The benchmark {path} cannot be read: {str(error).splitlines()[0]}.") from None
        missing = [c for c in COLUMNS if c not in rows]
        if missing:
            raise AutopeftError(
                f"The benchmark {path} has no column '{missing[0]}': it was not made by 'autopeft benchmark'."
            )
        return cls(path, rows, about)

    def configurations(self) -> dict[str, Configuration]:
        """The configurations by key, in the order of the rows."""
        first = self.rows.drop_duplicates("configuration").to_dict("records")
        return {row["configuration"]: configuration_of(row) for row in first}

    def finished(self) -> set[tuple[str, int]]:
        """The (configuration key, seed) of every run."""
        return set(zip(self.rows["configuration"], self.rows["seed"]))


def configuration_of(row: Mapping[Hashable, Any]) -> Configuration:
    """Read the configuration of a row, with its training procedure where that is not plain training."""
    settings = json.loads(row["settings"])
    how = settings.pop(PROCEDURE, {"name": "plain"})
    name = how.pop("name")
    return Configuration.of(row["method"], settings, layers_of(row["layers"]), row["learning_rate"], name, how)


def settings_text(configuration: Configuration) -> str:
    """Write the settings as JSON, with the training procedure where that is not plain training."""
    settings: dict[str, Any] = dict(configuration.settings)
    if configuration.procedure != "plain":
        settings[PROCEDURE] = {"name": configuration.procedure, **dict(configuration.procedure_settings)}
    return json.dumps(settings)


def layers_of(text: str | int) -> tuple[int, ...]:
    """Read layer numbers: "0-2,5" -> (0, 1, 2, 5); "none" -> ().

    Args:
        text: Comma-separated numbers and ranges. pandas reads a column of single numbers as integers.
    """
    if text == "none":
        return ()
    ends = [[int(x) for x in part.split("-")] for part in str(text).split(",")]
    return tuple(layer for e in ends for layer in range(e[0], e[-1] + 1))


def lines_of(configuration: Configuration, trainable: int, curve: Curve) -> str:
    """Write one run as CSV lines, one per rung.

    Args:
        configuration: What was trained.
        trainable: Its parameters, the head aside.
        curve: What was measured at each rung, and on the test split at the last one.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    fixed = (
        configuration.key,
        configuration.method,
        settings_text(configuration),
        spans(configuration.layers) if configuration.layers else "none",
        configuration.learning_rate,
        trainable,
        curve.seed,
    )
    for i, step in enumerate(curve.steps):
        last = i == len(curve.steps) - 1
        measured = (curve.train_loss[i], curve.validation_loss[i], curve.validation_score[i])
        tested = (
            (f"{curve.test_loss:.6f}", f"{curve.test_score:.6f}") if last and curve.test_loss is not None else ("", "")
        )
        writer.writerow(
            (*fixed, step, *(f"{x:.6f}" for x in measured), *tested, f"{curve.seconds:.2f}", curve.peak_memory_bytes)
        )
    return out.getvalue()
