"""Training procedures, one file each: how a method's parameters are trained.

The files of this folder register themselves, and so do the plug-ins of other packages; nothing here lists them.
"""

import importlib
import pkgutil

from autopeft.base.plugins import load_plugins
from autopeft.procedures.mechanisms.procedure import REGISTRY, Procedure, get_procedure

__all__ = ["REGISTRY", "Procedure", "get_procedure"]

for _module in pkgutil.iter_modules(__path__):
    if not _module.ispkg:
        importlib.import_module(f"{__name__}.{_module.name}")

load_plugins("procedures")
