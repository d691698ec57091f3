"""Kinds of tasks, one file each. The files register themselves, as those of plug-ins do; nothing here lists them."""

import importlib
import pkgutil

from autopeft.base.plugins import load_plugins

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
load_plugins("kinds")
