"""Fine-tuning methods, one file each: what is trained, how many parameters that is, and its peft config.

The files of this folder register themselves; nothing here lists them. Importing this package imports no torch.
"""

import importlib
import pkgutil

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.methods.method import REGISTRY, Method, get_method

__all__ = ["REGISTRY", "Method", "count", "count_per_module", "get_method", "peft_fields", "refusal"]


def count_per_module(configuration: Configuration, shapes: BackboneShapes) -> dict[str, int]:
    """Trainable parameters of each module, the task head left out; the parts of a combination add up."""
    total: dict[str, int] = {}
    for name in configuration.methods:
        part = get_method(name).count(configuration.settings_of(name), configuration.layers, shapes)
        for path, number in part.items():
            total[path] = total.get(path, 0) + number
    return total


def count(configuration: Configuration, shapes: BackboneShapes) -> int:
    """Trainable parameters of a configuration, the task head left out, without building anything."""
    return sum(count_per_module(configuration, shapes).values())


def refusal(method: str, shapes: BackboneShapes) -> str | None:
    """Why a method, or one of a combination's methods, does not fit a backbone; None if it does."""
    return next((why for name in method.split("+") if (why := get_method(name).refuses(shapes))), None)


def peft_fields(configuration: Configuration, shapes: BackboneShapes) -> dict:
    """The whole peft config of a configuration as a JSON-ready dict, the task head in modules_to_save."""
    names, layers = configuration.methods, configuration.layers
    if len(names) == 1:
        fields = get_method(names[0]).peft_fields(configuration.settings_of(names[0]), layers, shapes)
    else:
        parts = [get_method(name).part_fields(configuration.settings_of(name), layers, shapes) for name in names]
        fields = {"peft_type": "COMBINATION", "parts": parts}
    saved = [*fields.pop("modules_to_save", ()), *shapes.head_modules]
    return {"task_type": "SEQ_CLS", **fields, "modules_to_save": saved}


for _module in pkgutil.iter_modules(__path__):
    if _module.name not in ("attach", "dynamics", "method", "tuners"):
        importlib.import_module(f"{__name__}.{_module.name}")
