"""Options that several commands share, and options made from the fields of a pydantic model."""

import typing
from collections.abc import Callable
from typing import Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from autopeft.study.spec import StudySpec

Command = Callable[..., Any]

as_json = click.option("--json", "json_", is_flag=True, help="Print JSON on stdout and nothing else there.")
quiet = click.option("--quiet", is_flag=True, help="Print no progress.")


def options_of(model: type[BaseModel]) -> Callable[[Command], Command]:
    """One option per field of a pydantic model: name, type and help stand in the model only."""

    def add(command: Command) -> Command:
        for name, field in reversed(model.model_fields.items()):
            command = option_of(name, field)(command)
        return command

    return add


def option_of(name: str, field: FieldInfo) -> Callable[[Command], Command]:
    """The option of one field: a switch, a choice, one that may be given several times, or a value."""
    flag = "--" + name.replace("_", "-")
    annotation = field.annotation
    if annotation is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", default=None, help=field.description)
    if typing.get_origin(annotation) is tuple:
        return click.option(flag, name, multiple=True, metavar="NAME=VALUE", help=field.description)
    kinds = [t for t in (typing.get_args(annotation) or (annotation,)) if t is not type(None)]
    literals = [k for k in (annotation, *kinds) if typing.get_origin(k) is typing.Literal]
    if literals:
        return click.option(flag, type=click.Choice(typing.get_args(literals[0])), help=field.description)
    return click.option(flag, type=kinds[0], help=field.description)


study_options = options_of(StudySpec)
