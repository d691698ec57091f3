"""YAML files -> checked models: bundled or by path, with a suggestion for an unknown key. Imports no torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from autopeft.base.errors import AutopeftError, did_you_mean

Model = TypeVar("Model", bound=BaseModel)


def bundled(folder: str, name: str) -> Path | None:
    """A file of search_spaces/ or studies/ as installed with the package, or as it lies in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for root in (package, package.parent):
        if (path := root / folder / f"{name}.yaml").is_file():
            return path
    return None


def bundled_names(folder: str) -> list[str]:
    """The names of the YAML files that come with autopeft in that folder."""
    package = Path(__file__).resolve().parents[1]
    return sorted({p.stem for root in (package, package.parent) for p in (root / folder).glob("*.yaml")})


def read_yaml(name: str, folder: str) -> tuple[dict, Path]:
    """Read a bundled file by name, or any file by path. Raises AutopeftError if it is missing or not a mapping."""
    path = bundled(folder, name) or Path(name)
    if not path.is_file():
        raise AutopeftError(
            f"There is no file or bundled entry '{name}' in {folder}/." + did_you_mean(name, bundled_names(folder))
        )
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise AutopeftError(
            f"{path.name} is not valid YAML{yaml_problem(error)}: correct it, or save it as UTF-8."
        ) from None
    if not isinstance(data, dict):
        raise AutopeftError(f"{path.name} must hold 'key: value' lines, and it holds {type(data).__name__}.")
    return data, path


def yaml_problem(error: Exception) -> str:
    """Where a YAML file is wrong and what is wrong there, as far as the parser says: " in line 2 (found ...)"."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{place} ({problem or ' '.join(str(error).split())})"


def validated(model: type[Model], data: Mapping[str, Any], where: str) -> Model:
    """Build a pydantic model.

    Args:
        model: its class.
        data: its fields.
        where: what they were read from, for messages.

    Raises:
        AutopeftError: pydantic's first complaint in one sentence, with a suggestion for an unknown key.
    """
    try:
        return model(**data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(x) for x in first["loc"])
        if first["type"] == "extra_forbidden":
            raise AutopeftError(f"Unknown key '{key}' in {where}." + did_you_mean(key, model.model_fields)) from None
        said = first["msg"].removeprefix("Value error, ")
        raise AutopeftError(f"'{key}' in {where}: {said[0].lower()}{said[1:]} (it is {first['input']!r}).") from None
