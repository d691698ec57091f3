"""studies/evidence/cells.yaml -> which task is trained on which backbone, and how much of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.base.yaml_files import read_yaml
from autopeft.study.spec import StudySpec

KEYS = ("reference", "candidates", "study", "cells")


@dataclass(frozen=True)
class Cell:
    """One task on one backbone, and how many of the candidates it trains."""

    spec: StudySpec
    candidates: int


@dataclass(frozen=True)
class Cells:
    """The tasks of a benchmark.

    Attributes:
        reference: the backbone on which the candidates' sizes are counted.
        cells: by name.
    """

    reference: str
    cells: dict[str, Cell]


def read_cells(path: str | Path, names: Sequence[str] = ()) -> Cells:
    """Read the tasks of a benchmark.

    Args:
        path: the YAML file.
        names: only these, in this order; all if there are none.

    Raises:
        AutopeftError: a key or a name is unknown.
    """
    data, file = read_yaml(str(path), "studies/evidence")
    if unknown := next((k for k in data if k not in KEYS), None):
        raise AutopeftError(f"Unknown key '{unknown}' in {file.name}." + did_you_mean(unknown, KEYS))
    every = {name: cell_of(data, fields) for name, fields in data["cells"].items()}
    if missing := next((n for n in names if n not in every), None):
        raise AutopeftError(f"{file.name} has no task '{missing}'." + did_you_mean(missing, every))
    return Cells(data["reference"], {name: every[name] for name in names or every})


def cell_of(data: dict[str, Any], fields: dict[str, Any]) -> Cell:
    """A task's own fields on top of those of all."""
    own = dict(fields)
    number = own.pop("candidates", data["candidates"])
    return Cell(StudySpec.read(None, **{**data["study"], **own}), number)
