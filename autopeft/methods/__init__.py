"""Fine-tuning methods, one file each: what is trained, how many parameters that is, and its peft config.

The files of this folder register themselves, and so do the plug-ins of other packages; nothing here lists them.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from itertools import permutations

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.errors import AutopeftError
from autopeft.base.plugins import load_plugins
from autopeft.configuration import Configuration
from autopeft.methods.mechanisms.method import REGISTRY, Method, get_method

__all__ = [
    "REGISTRY",
    "Method",
    "count",
    "count_per_module",
    "family",
    "get_method",
    "learning_rates",
    "peft_fields",
    "refusal",
]


def family(configuration: Configuration) -> str:
    """The family of a configuration's method; of a combination the families of its parts, joined by "+"."""
    return "+".join(dict.fromkeys(get_method(name).family for name in configuration.methods))


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


def learning_rates(methods: Sequence[str]) -> tuple[float, float]:
    """The range that every method of a combination can train with; if they have none in common, what spans them."""
    lows, highs = zip(*(get_method(name).learning_rate for name in methods))
    return (max(lows), min(highs)) if max(lows) < min(highs) else (min(lows), max(highs))


def refusal(method: str, shapes: BackboneShapes) -> str | None:
    """Why a method, one of a combination's methods, or the combination does not fit a backbone; None if it does."""
    names = method.split("+")
    why = next((why for name in names if (why := get_method(name).refuses(shapes))), None)
    return why or company_refusal(names, shapes)


def company_refusal(names: Sequence[str], shapes: BackboneShapes) -> str | None:
    """Why methods that each fit a backbone cannot be trained together on it; None if they can."""
    for one, other in permutations(names, 2):
        if why := get_method(one).refuses_company(other):
            return why
        if get_method(one).inside_attention and get_method(other).inside_attention:
            return f"{one} and {other} both take the place of the attention function, so they cannot be combined"
    holders: dict[str, str] = {}
    for name in names if len(names) > 1 else ():
        method, layers = get_method(name), tuple(range(shapes.num_layers))
        kind = method.part_fields(method.defaults, layers, shapes)["peft_type"]
        if (first := holders.setdefault(kind, name)) != name or names.count(name) > 1:
            return f"{first} and {name} are one kind of adapter to peft ({kind}), which a model can hold once"
    return None


def peft_fields(configuration: Configuration, shapes: BackboneShapes) -> dict:
    """The whole peft config of a configuration as a JSON-ready dict, the task head in modules_to_save."""
    names, layers = configuration.methods, configuration.layers
    if len(names) == 1:
        fields = get_method(names[0]).peft_fields(configuration.settings_of(names[0]), layers, shapes)
    else:
        if why := company_refusal(names, shapes):
            raise AutopeftError(f"{configuration.method} cannot be built: {why}.")
        parts = [get_method(name).part_fields(configuration.settings_of(name), layers, shapes) for name in names]
        fields = {"peft_type": "COMBINATION", "parts": parts}
    saved = [*fields.pop("modules_to_save", ()), *shapes.head_modules]
    return {"task_type": shapes.kind.peft_task_type, **fields, "modules_to_save": saved}


for _module in pkgutil.iter_modules(__path__):
    if not _module.ispkg:
        importlib.import_module(f"{__name__}.{_module.name}")

load_plugins("methods")
