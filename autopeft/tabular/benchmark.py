"""A table of full-length truths: one row per configuration, seed and rung, in a CSV file with a JSON beside it. No torch.

The CSV's last rung of a run is its full length and carries the test split's loss and score, which no rung has seen.
The JSON (same name) says what the rows are of: study, data, sizes, layer scores, precision, versions, command.
"""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

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
PROCEDURE = "procedure"  # no method has a setting of that name; a column would not fit the tables that there are


@dataclass(frozen=True, eq=False)
class TruthTable:
    """The rows (COLUMNS) and what they are of."""

    path: Path
    rows: pd.DataFrame
    about: dict

    @classmethod
    def read(cls, path: str | Path) -> "TruthTable":
        """Raises AutopeftError when there is no such table or it lacks a column."""
        path = Path(path)
        if not path.is_file() or not path.with_suffix(".json").is_file():
            raise AutopeftError(
                f"There is no table {path} with its .json beside it: give a CSV file that 'autopeft table' made."
            )
        try:
            rows = pd.read_csv(path)
            about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        except (ValueError, pd.errors.ParserError) as error:
            raise AutopeftError(f"The table {path} cannot be read: {str(error).splitlines()[0]}.") from None
        missing = [c for c in COLUMNS if c not in rows]
        if missing:
            raise AutopeftError(f"The table {path} has no column '{missing[0]}': it was not made by 'autopeft table'.")
        return cls(path, rows, about)

    def configurations(self) -> dict[str, Configuration]:
        """Key -> configuration, in the order of the rows."""
        first = self.rows.drop_duplicates("configuration")
        return {r.configuration: configuration_of(r) for r in first.itertuples()}

    def finished(self) -> set[tuple[str, int]]:
        """(configuration, seed) of every run in the table."""
        return set(zip(self.rows["configuration"], self.rows["seed"]))


def configuration_of(row) -> Configuration:
    """The configuration of a row; how it is trained stands among its settings where that is not plain training."""
    settings = json.loads(row.settings)
    how = settings.pop(PROCEDURE, {"name": "plain"})
    name = how.pop("name")
    return Configuration.of(row.method, settings, layers_of(row.layers), row.learning_rate, name, how)


def settings_text(configuration: Configuration) -> str:
    """The settings as JSON, with the procedure where it is not plain training."""
    settings = dict(configuration.settings)
    if configuration.procedure != "plain":
        settings[PROCEDURE] = {"name": configuration.procedure, **dict(configuration.procedure_settings)}
    return json.dumps(settings)


def layers_of(text: str) -> tuple[int, ...]:
    """ "0-2,5" -> (0, 1, 2, 5); "none" -> ()."""
    if text == "none":
        return ()
    ends = [[int(x) for x in part.split("-")] for part in str(text).split(",")]
    return tuple(layer for e in ends for layer in range(e[0], e[-1] + 1))


def lines_of(configuration: Configuration, trainable: int, curve: Curve) -> str:
    """The CSV lines of one run."""
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
