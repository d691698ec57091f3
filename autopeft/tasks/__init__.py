"""A data source -> Task. `load_task` is imported on first use: pandas would slow down `autopeft --help`."""

from typing import Any

__all__ = ["load_task"]


def __getattr__(name: str) -> Any:
    if name == "load_task":
        from autopeft.tasks.load import load_task

        return load_task
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
