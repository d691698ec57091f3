"""search_spaces/*.yaml -> SpaceFile: what a space may contain, unknown keys refused. Imports no torch."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from autopeft.configuration import Scalar
from autopeft.errors import AutopeftError, did_you_mean

MethodChoices = dict[str, dict[str, list[Scalar]]]


class SpaceFile(BaseModel):
    """One search space. Each method offers its own choices for every setting unless the file narrows them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    description: str = ""
    methods: MethodChoices = Field(default_factory=dict)
    combination: MethodChoices = Field(default_factory=dict)  # parts that are on together; a size of 0 is off
    procedures: MethodChoices = Field(default_factory=dict)  # how they are trained, beside plain training
    reference_hidden_size: int | None = None  # sizes are for this width and scale with the backbone's
    layers: Literal["any", "bits", "suffix", "all"] = "any"
    frozen_layers: list[int] | None = None  # None: every depth

    @field_validator("methods", "combination", "procedures", mode="before")
    @classmethod
    def _empty_is_all(cls, value):
        return {k: v or {} for k, v in (value or {}).items()}


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
        raise AutopeftError(f"{path.name} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise AutopeftError(f"{path.name} must hold 'key: value' lines, and it holds {type(data).__name__}.")
    return data, path


def load_space(name: str) -> SpaceFile:
    """A space by bundled name or by path to a YAML file. Raises AutopeftError with the nearest known key."""
    data, path = read_yaml(name, "search_spaces")
    space = validated(SpaceFile, data, path.name)
    if not space.methods and not space.combination:
        raise AutopeftError(f"{path.name} lists no methods: name at least one under 'methods:' or 'combination:'.")
    return space


def validated(model: type[BaseModel], data: dict, where: str):
    """Build a pydantic model; its first complaint becomes one sentence with a did-you-mean for unknown keys."""
    try:
        return model(**data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(x) for x in first["loc"])
        if first["type"] == "extra_forbidden":
            raise AutopeftError(f"Unknown key '{key}' in {where}." + did_you_mean(key, model.model_fields)) from None
        raise AutopeftError(
            f"'{key}' in {where}: {first['msg'][0].lower()}{first['msg'][1:]} (it is {first['input']!r})."
        ) from None
