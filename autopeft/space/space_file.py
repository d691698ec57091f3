"""search_spaces/*.yaml -> SpaceFile: what a space may contain, unknown keys refused."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from autopeft.base.errors import AutopeftError
from autopeft.base.yaml_files import read_yaml, validated
from autopeft.configuration import Scalar

MethodChoices = dict[str, dict[str, list[Scalar]]]


class SpaceFile(BaseModel):
    """One search space. Each method offers its own choices for every setting unless the file narrows them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    description: str = ""
    methods: MethodChoices = Field(default_factory=dict)
    combination: MethodChoices = Field(default_factory=dict)  # parts that are on together; a size of 0 is off
    procedures: MethodChoices = Field(default_factory=dict)  # how they are trained, beside plain training
    reference_hidden_size: int | None = Field(None, ge=1)  # widths are for this one and scale with the backbone's
    layers: Literal["any", "bits", "suffix", "all"] = "any"
    frozen_layers: list[int] | None = None  # None: every depth

    @field_validator("methods", "combination", "procedures", mode="before")
    @classmethod
    def _as_people_write_it(cls, value: Any) -> Any:
        """A name, a list of names or mappings, or a mapping -> name -> setting -> list of values; none means all."""
        value = [value] if isinstance(value, str) else value or {}
        if isinstance(value, list) and all(isinstance(entry, str | dict) for entry in value):
            value = {
                k: v for entry in value for k, v in (entry.items() if isinstance(entry, dict) else [(entry, None)])
            }
        if not isinstance(value, dict):
            return value
        return {k: listed(v) if isinstance(v, dict) else v or {} for k, v in value.items()}


def listed(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with lists of values: one value is a list of one, and a setting without any keeps all of its own."""
    return {k: v if isinstance(v, list) else [v] for k, v in settings.items() if v is not None}


def load_space(name: str) -> SpaceFile:
    """A space by bundled name or by path to a YAML file. Raises AutopeftError with the nearest known key."""
    data, path = read_yaml(name, "search_spaces")
    space = validated(SpaceFile, data, path.name)
    if not space.methods and not space.combination:
        raise AutopeftError(f"{path.name} lists no methods: name at least one under 'methods:' or 'combination:'.")
    return space
