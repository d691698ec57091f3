"""study.json -> the space that a study began with, which the file of that name may no longer hold."""

from collections.abc import Mapping
from typing import Any

from autopeft.base.errors import AutopeftError
from autopeft.base.packages import Note
from autopeft.space import SpaceFile, load_space

OLDER = {"default": "basic"}  # what the spaces of release 0.1, which kept none, are called now


def kept_space(stored: Mapping[str, Any], note: Note) -> SpaceFile:
    """The space of a study that is resumed: Optuna knows no parameter whose choices change.

    Args:
        stored: study.json.
        note: told where the file of that name holds another space by now.

    Raises:
        AutopeftError: the study kept none, and there is no file of that name any more.
    """
    name = stored["spec"]["space"]
    if "space" not in stored:
        return load_space(OLDER.get(name, name))
    kept = SpaceFile(**stored["space"])
    try:
        same = load_space(name).model_dump() == kept.model_dump()
    except AutopeftError:
        same = False
    if not same:
        note(
            f"Space: the study goes on with '{name}' as it was when it began; what bears that name now is another one."
        )
    return kept
