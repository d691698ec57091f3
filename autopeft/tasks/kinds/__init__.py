"""Kinds of tasks, one file each; the files register themselves, nothing here lists them. Imports no torch."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
