"""Objectives, one file each: what a study minimises and maximises.

The files of this folder register themselves; nothing here lists them.
"""

import importlib
import pkgutil

from autopeft.base.plugins import load_plugins
from autopeft.objectives.chosen import Objectives
from autopeft.objectives.limits import Limit, Limits
from autopeft.objectives.objective import REGISTRY, Counted, Measured, Objective, Scored, get_objective, register
from autopeft.objectives.setting import Setting

__all__ = [
    "REGISTRY",
    "Counted",
    "Limit",
    "Limits",
    "Measured",
    "Objective",
    "Objectives",
    "Scored",
    "Setting",
    "get_objective",
    "register",
]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
load_plugins("objectives")
