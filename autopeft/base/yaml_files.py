"""YAML files -> checked models: bundled or by path, with a suggestion for an unknown key. Imports no torch."""

import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from autopeft.base.errors import AutopeftError, did_you_mean

Model = TypeVar("Model", bound=BaseModel)
MOST_VALUES = 100_000
LARGEST = 2**64  # more than anything that is counted
UNWRITABLE = re.compile("[\0\ud800-\udfff]")  # by a file's name, or in UTF-8


def bundled(folder: str, name: str) -> Path | None:
    """A file of search_spaces/ or studies/ as installed with the package, or as it lies in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for root in (package, package.parent):
        if is_file(path := root / folder / f"{name}.yaml"):
            return path
    return None


def bundled_names(folder: str) -> list[str]:
    """The names of the YAML files that come with autopeft in that folder."""
    package = Path(__file__).resolve().parents[1]
    return sorted({p.stem for root in (package, package.parent) for p in (root / folder).glob("*.yaml")})


def read_yaml(name: str, folder: str) -> tuple[dict, Path]:
    """Read a bundled file by name, or any file by path. Raises AutopeftError if it is missing or not a mapping."""
    path = bundled(folder, name) or Path(name)
    if not is_file(path):
        raise AutopeftError(
            f"There is no file or bundled entry '{name}' in {folder}/." + did_you_mean(name, bundled_names(folder))
        )
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AutopeftError(f"{path} cannot be read ({error.strerror}).") from None
    except Exception as error:  # PyYAML lets through what building a date, a number or a deep nest raises
        raise AutopeftError(
            f"{path.name} is not valid YAML{yaml_problem(error)}: correct it, or save it as UTF-8."
        ) from None
    if not isinstance(data, dict):
        raise AutopeftError(f"{path.name} must hold 'key: value' lines, and it holds {type(data).__name__}.")
    if is_large(data):
        raise AutopeftError(f"{path.name} holds more than {MOST_VALUES:,} values, its aliases written out: shorten it.")
    return data, path


def yaml_problem(error: Exception) -> str:
    """Where a YAML file is wrong and what is wrong there, as far as the parser says: " in line 2 (found ...)"."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{place} ({problem or ' '.join(str(error).split())})"


def is_file(path: Path) -> bool:
    """Whether there is a file; there is none under a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_large(data: Any) -> bool:
    """Whether some lines of aliases stand for more values than anyone writes, or for endlessly many."""
    waiting, seen = [data], 0
    while waiting and seen <= MOST_VALUES:
        value = waiting.pop()
        seen += 1
        if isinstance(value, dict | list):
            waiting += [*value, *value.values()] if isinstance(value, dict) else value
    return seen > MOST_VALUES


def validated(model: type[Model], data: Mapping[str, Any], where: str) -> Model:
    """Build a pydantic model.

    Args:
        model: its class.
        data: its fields.
        where: what they were read from, for messages.

    Raises:
        AutopeftError: pydantic's first complaint in one sentence, with a suggestion for an unknown key.
    """
    for key, value in data.items():
        if isinstance(value, str) and UNWRITABLE.search(value):
            raise AutopeftError(f"'{key}' in {where} holds characters that no text has: it is {value!r}.")
    try:
        made = model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(x) for x in first["loc"])
        if first["type"] == "extra_forbidden":
            raise AutopeftError(f"Unknown key '{key}' in {where}." + did_you_mean(key, model.model_fields)) from None
        said = first["msg"].removeprefix("Value error, ")
        raise AutopeftError(
            f"'{key}' in {where}: {said[0].lower()}{said[1:]} (it is {reprlib.repr(first['input'])})."
        ) from None
    for key, value in made:
        if isinstance(value, int | float) and not abs(value) <= LARGEST:
            raise AutopeftError(f"'{key}' in {where} is no number that fits: it is {reprlib.repr(value)}.")
    return made
