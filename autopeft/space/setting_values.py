"""A value that somebody wrote for a setting -> one that the setting can have."""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

from autopeft.backbone.shapes import BackboneShapes, canonical_roles
from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.configuration import Scalar
from autopeft.methods import Method, get_method
from autopeft.methods.mechanisms.low_rank import LowRank
from autopeft.procedures import Procedure

OFF = ("bottleneck", "prefix_length", "rank", "kernel_size")  # the settings of which 0 means "off" in a combination


def setting_value(what: Method | Procedure, setting: str, value: Any, where: str = "") -> Scalar:
    """Read a value in the type of a setting's own choices.

    Args:
        what: the method or procedure.
        setting: the setting's name.
        value: what was given, text or a value.
        where: what holds it, for messages; empty for the command line.

    Returns:
        The value, target modules in their canonical spelling.

    Raises:
        AutopeftError: it is none that the setting can have.
    """
    own = what.hyperparameters[setting]
    name, place = f"'{setting}' of {what.name}", f" in {where}" if where else ""
    if setting == "target_modules":
        return canonical_roles(str(value))
    if isinstance(own[0], bool):
        if str(value).lower() not in ("true", "false"):
            raise AutopeftError(f"{name}{place} is true or false, not '{value}'.")
        return str(value).lower() == "true"
    if isinstance(own[0], str):
        if value not in own:
            raise AutopeftError(f"{name}{place} cannot be '{value}'.{did_you_mean(str(value), own)}")
        return str(value)
    number = number_of(value)
    whole = isinstance(own[0], int)
    if number is None or (whole and number != int(number)) or isinstance(value, bool):
        kind, example = ("a whole number", own[len(own) // 2]) if whole else ("a number", f"{own[len(own) // 2]:g}")
        raise AutopeftError(f"{name}{place} is {kind} such as {example}, not '{value}'.")
    least = min(own)
    if number < 0 or (number == 0 and least > 0):
        raise AutopeftError(f"{name}{place} must be above zero, and it is {value}.")
    return int(number) if whole else number


def number_of(value: Any) -> float | None:
    """A finite number as people write it; None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) else None


def check_rank(method: str, settings: Mapping[str, Scalar], shapes: BackboneShapes) -> None:
    """Refuse a rank above that of every matrix that it is for.

    Args:
        method: its name.
        settings: the method's own.
        shapes: the backbone's sizes.

    Raises:
        AutopeftError: the rank is above the smaller side of each linear that the target modules select.
    """
    if not isinstance(get_method(method), LowRank) or "rank" not in settings:
        return
    linears = shapes.select(str(settings["target_modules"])) if "target_modules" in settings else shapes.linears
    most = max(min(x.in_features, x.out_features) for x in linears)
    if int(settings["rank"]) > most:
        raise AutopeftError(
            f"'rank' of {method} is {settings['rank']}, and the matrices that it is for have rank {most} at most on "
            f"{shapes.name}: choose one up to {most}."
        )


def check_space_values(
    what: Method | Procedure, narrowed: Mapping[str, Iterable[Any]], where: str, may_be_off: bool = False
) -> dict[str, tuple[Scalar, ...]]:
    """Read the choices that a space's file gives for a method or procedure.

    Args:
        what: the method or procedure.
        narrowed: values by setting.
        where: what holds them, for messages.
        may_be_off: whether a size of 0 means that this part of a combination is off.

    Returns:
        The same in the types of the settings.

    Raises:
        AutopeftError: a setting is unknown, or has no value or one that it cannot have.
    """
    read = {}
    for key, values in narrowed.items():
        if key not in what.hyperparameters:
            raise AutopeftError(
                f"Unknown setting '{key}' of {what.name} in {where}." + did_you_mean(key, what.hyperparameters)
            )
        off = may_be_off and key in OFF
        read[key] = tuple(0 if off and v == 0 else setting_value(what, key, v, where) for v in values)
        if not read[key]:
            raise AutopeftError(f"'{key}' of {what.name} in {where} lists no value: give one, or leave '{key}' out.")
    return read
