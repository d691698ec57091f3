"""A peft model -> the plain model with the adapters in its weights."""

from typing import Any

from peft import PeftModel
from peft.utils import ModulesToSaveWrapper

from autopeft.methods.mechanisms.attach import ADAPTER


def merged(model: PeftModel) -> Any:
    """Merge the adapters and take peft off.

    The trained copies of the head are put in their places first: peft's `merge_and_unload` of most tuners looks for a
    weight in the wrapper of a head that is a container (BERT's pooler) and fails.

    Args:
        model: all of its methods can be merged; its weights are changed in place.

    Returns:
        The model without any module of peft's.
    """
    base = model.get_base_model()
    wrapped = {path: m for path, m in base.named_modules() if isinstance(m, ModulesToSaveWrapper)}
    for path, module in wrapped.items():
        parent, _, name = path.rpartition(".")
        setattr(base.get_submodule(parent), name, module.modules_to_save[ADAPTER])
    return model.merge_and_unload()
