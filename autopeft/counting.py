"""Counting one configuration as the command line spells it. Imports no torch."""

from collections.abc import Mapping

from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.configuration import Configuration
from autopeft.methods import count_per_module, get_method, refusal


def count(model: str, method: str, settings: Mapping[str, object] | None = None, num_labels: int = 2) -> dict:
    """Trainable parameters of a configuration on a backbone, from its config.json alone.

    settings: the method's own ("rank", "target_modules" ...), "layers" ("all", "0,2-4") and "frozen_layers"; in a
    combination "a+b" the own ones carry their method: "lora.rank". Returns {"trainable", "total", "percent", "head",
    "modules"}; total and percent are of the backbone without the task head. Raises AutopeftError on bad input.
    """
    from autopeft.backbone.sizes import shapes_of

    for name in method.split("+"):
        get_method(name)
    shapes = shapes_of(model, num_labels)
    if why := refusal(method, shapes):
        raise AutopeftError(f"{method} does not fit {model}: {why}.")
    configuration = configuration_of(method, dict(settings or {}), shapes.num_layers)
    modules = count_per_module(configuration, shapes)
    trainable = sum(modules.values())
    return {
        "trainable": trainable,
        "total": shapes.backbone_parameters,
        "percent": 100 * trainable / shapes.backbone_parameters,
        "head": shapes.head_parameters,
        "modules": modules,
    }


def configuration_of(method: str, given: dict, num_layers: int) -> Configuration:
    """Fill in the method's defaults; refuse unknown settings and values of the wrong kind."""
    asked = given.pop("layers", "all")
    layers = parse_layers(asked, int_of("frozen_layers", given.pop("frozen_layers", 0)), num_layers)
    methods = method.split("+")
    settings = {key(methods, m, k): v for m in methods for k, v in get_method(m).defaults.items()}
    for name, value in given.items():
        if name not in settings:
            raise AutopeftError(
                f"{method} has no setting '{name}'." + did_you_mean(name, [*settings, "layers", "frozen_layers"])
            )
        settings[name] = like(settings[name], name, value)
    if all(get_method(m).layers == "none" for m in methods):
        layers = ()
    if any(get_method(m).layers == "one" for m in methods):
        if asked != "all" and len(layers) > 1:
            raise AutopeftError(f"{method} trains one layer, and layers names {len(layers)}: name one.")
        layers = layers[:1]
    return Configuration.of(method, settings, layers, get_method(methods[0]).learning_rate[0])


def key(methods: list[str], method: str, setting: str) -> str:
    return setting if len(methods) == 1 else f"{method}.{setting}"


def like(default, name: str, value):
    """Read a value in the type of the setting's default."""
    if isinstance(default, bool):
        if str(value).lower() not in ("true", "false"):
            raise AutopeftError(f"'{name}' is true or false, not '{value}'.")
        return str(value).lower() == "true"
    if isinstance(default, str):
        return str(value)
    number = float(value) if isinstance(default, float) and is_number(value) else int_of(name, value)
    if number < 0 or (number == 0 and default and isinstance(default, int)):  # a default of 0 means "off"
        raise AutopeftError(f"'{name}' must be above zero, and it is {value}.")
    return number


def is_number(value) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def int_of(name: str, value) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise AutopeftError(f"'{name}' is a whole number, not '{value}'.") from None


def parse_layers(text, frozen: int, num_layers: int) -> tuple[int, ...]:
    """ "all" or "0,2-4" -> block indices, those below the frozen prefix left out."""
    if not 0 <= frozen < num_layers:
        raise AutopeftError(
            f"frozen_layers is 0 to {num_layers - 1} on this backbone of {num_layers} layers, not {frozen}."
        )
    if text in ("all", None):
        return tuple(range(frozen, num_layers))
    chosen: set[int] = set()
    for part in str(text).split(","):
        low, _, high = part.partition("-")
        chosen.update(range(int_of("layers", low), int_of("layers", high or low) + 1))
    if outside := sorted(x for x in chosen if not 0 <= x < num_layers):
        raise AutopeftError(f"layers names {outside[0]}, and this backbone has layers 0 to {num_layers - 1}.")
    return tuple(sorted(x for x in chosen if x >= frozen))
