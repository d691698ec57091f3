"""Registers autopeft's tuners as soon as peft is there, without importing it.

`PeftModel.from_pretrained` looks a saved adapter's type up in peft's own tables, so they must hold our types
whenever peft is loaded; but `import autopeft` alone must stay light. Hence an import hook.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class PeftImport:
    """A finder that lets the normal import of `peft` finish and then registers our tuners."""

    def __init__(self) -> None:
        self.searching = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The ordinary spec of peft with registration added to its loader; None for every other module."""
        if fullname != "peft" or self.searching:
            return None
        self.searching = True  # find_spec below asks all of sys.meta_path, us included
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self.searching = False
        if spec is not None and spec.loader is not None:
            self._register_after(spec.loader)
        return spec

    def _register_after(self, loader: Any) -> None:
        run = loader.exec_module

        def run_then_register(module: ModuleType) -> None:
            run(module)
            # A peft that failed to import raised above: the finder stays for the next attempt.
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            register_now()

        loader.exec_module = run_then_register


def register_now() -> None:
    """Import the registration; where that is what imports peft, it is under way already and this does nothing."""
    importlib.import_module("autopeft.methods.mechanisms.peft_registration")


def install() -> None:
    """Register now if peft is imported, else when it is. Calling it again changes nothing."""
    if "peft" in sys.modules:
        register_now()
    elif not any(isinstance(finder, PeftImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, PeftImport())
