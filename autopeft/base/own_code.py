"""package.module:name -> what a user has written: only what could be meant is imported and called. Imports no torch."""

import importlib
import inspect
import re
import sys
from functools import partial
from typing import Any

from autopeft.base.errors import AutopeftError

NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def imported(name: str, what: str, folder: str | None = None) -> Any:
    """Import what a user names.

    Args:
        name: package.module:name.
        what: what it is to be, for messages: "metric".
        folder: searched too; "" is the current one.

    Raises:
        AutopeftError: there is none, or the module is one of Python's own, which hold nothing of the kind.
    """
    module, _, attribute = name.partition(":")
    if not NAME.fullmatch(name):
        raise AutopeftError(f"The {what} '{name}' cannot be imported: write package.module:function.")
    _check_not_pythons_own(module, name, what)
    added = [] if folder is None else [folder]
    sys.path[:0] = added
    try:
        return getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # whatever the module's first lines raise
        why = str(error) or type(error).__name__
        raise AutopeftError(f"The {what} '{name}' cannot be imported: {why}. Write package.module:function.") from None
    finally:
        for path in added:
            sys.path.remove(path)


def check_takes(found: Any, name: str, what: str, arguments: tuple[str, ...]) -> None:
    """Refuse what cannot be called with these arguments, before it is called. Raises AutopeftError.

    Args:
        found: what was imported.
        name: where from.
        what: what it is to be.
        arguments: what it will be given, by position.
    """
    function = found.func if isinstance(found, partial) else found
    _check_not_pythons_own(getattr(function, "__module__", None) or "builtins", name, what)
    try:
        inspect.signature(found).bind(*arguments)
    except (TypeError, ValueError):  # not callable, or written in C without a signature
        raise AutopeftError(
            f"'{name}' is no {what}, which is a function of ({', '.join(arguments)}): name another."
        ) from None


def _check_not_pythons_own(module: str, name: str, what: str) -> None:
    if module.split(".")[0] in sys.stdlib_module_names:
        raise AutopeftError(f"'{name}' is Python's own and no {what}: write a function in a module of yours.")
