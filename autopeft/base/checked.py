"""JSON that anybody may have written -> the values that it is to hold, every type checked. Imports no torch."""

import json
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

from autopeft.base.errors import AutopeftError

Value = TypeVar("Value")


def parsed(text: str | bytes) -> Any:
    """JSON -> its value. Raises ValueError, also for what nests too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def checked(kind: type[Value], data: Mapping[str, Any]) -> Value:
    """Build a dataclass or typed dict of values of its types. Unknown ones are left out. Raises ValueError for others."""
    return _adapter(cast(Hashable, kind)).validate_python(data)


@cache
def _adapter(kind: Any) -> TypeAdapter:
    return TypeAdapter(kind)


@contextmanager
def as_written(path: Path | str, remedy: str) -> Iterator[None]:
    """What reading a file stumbles over, whatever it is, becomes a sentence.

    Args:
        path: of the file.
        remedy: what to do: "restore it".

    Raises:
        AutopeftError: the body met something else than autopeft writes.
    """
    try:
        yield
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        raise AutopeftError(f"{path} holds something else than autopeft writes into it: {remedy}.") from None
