"""Module paths of the bare backbone -> the modules that compute there once adapters are attached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import ModulesToSaveWrapper
from torch import nn

if TYPE_CHECKING:
    from peft import PeftModel


def module_at(model: PeftModel, path: str) -> nn.Module:
    """The backbone's own module at a path, below every wrapper; where modules train in a copy, the copy."""
    module = model.get_base_model()
    for name in path.split("."):
        module = getattr(innermost(module), name)
    return innermost(module)


def innermost(module: nn.Module) -> nn.Module:
    """The module below every wrapper; of a trained copy the copy."""
    while isinstance(module, (ModulesToSaveWrapper, BaseTunerLayer)):
        saved = isinstance(module, ModulesToSaveWrapper)
        module = module.modules_to_save[module.active_adapters[0]] if saved else module.base_layer
    return module
