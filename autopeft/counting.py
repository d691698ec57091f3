"""Counting one configuration as the command line spells it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.configuration import Configuration
from autopeft.costs.step import Step
from autopeft.methods import count_per_module, get_method, refusal
from autopeft.uniform_lora import uniform_lora


@dataclass(frozen=True)
class Counted:
    """What a configuration comes to on a backbone, counted from the sizes alone.

    Attributes:
        trainable: parameters without the task head.
        total: parameters of the backbone without the task head.
        percent: trainable of total.
        head: parameters of the task head, which is trained beside the method.
        modules: trainable parameters of each module, by its path.
        objectives: every objective that is known before training, by name.
        uniform_lora: the same of uniform LoRA at r = 8, for comparison.
    """

    configuration: Configuration
    trainable: int
    total: int
    percent: float
    head: int
    modules: dict[str, int]
    objectives: dict[str, float]
    uniform_lora: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """As plain dicts and numbers."""
        return {**asdict(self), "configuration": self.configuration.to_json()}


def count(
    model: str,
    method: str,
    settings: Mapping[str, object] | None = None,
    num_labels: int = 2,
    task: str = "classification",
    step: Step | None = None,
) -> Counted:
    """Count a configuration on a backbone, from its config.json alone: nothing is trained, built or loaded.

    Args:
        model: a folder with a config.json, a built-in name or a hub name.
        method: a method's name; in a combination "a+b" the settings carry their method: "lora.rank".
        settings: the method's own ("rank", "target_modules" ...), "layers" ("all", "0,2-4") and "frozen_layers".
        num_labels: outputs of the task head.
        task: the kind of task, which decides the head.
        step: rows, tokens and number formats of a training step (default: 32 rows of 128 tokens in fp32).

    Returns:
        Parameters and every objective that is known before training.

    Raises:
        AutopeftError: a name is unknown, or the method does not fit the backbone.

    Example:
        >>> import autopeft
        >>> counted = autopeft.count("minilm-l6", "lora", {"rank": 8, "target_modules": "query+value"})
        >>> counted.trainable, f"{counted.percent:.2f} %"
        (73728, '0.33 %')
    """
    from autopeft.backbone.sizes import shapes_of
    from autopeft.objectives import REGISTRY, Setting
    from autopeft.objectives import Counted as CountedObjective
    from autopeft.space.setting_values import check_rank
    from autopeft.tasks.kind import get_kind

    for name in method.split("+"):
        get_method(name)
    shapes = shapes_of(model, num_labels, kind=get_kind(task))
    if why := refusal(method, shapes):
        raise AutopeftError(f"{method} does not fit {model}: {why}.")
    configuration = configuration_of(method, dict(settings or {}), shapes.num_layers)
    for name in configuration.methods:
        check_rank(name, configuration.settings_of(name), shapes)
    modules = count_per_module(configuration, shapes)
    uniform = uniform_lora(shapes, None)
    setting = Setting(shapes, step or Step(32, 128), uniform)
    objectives = [o for o in REGISTRY.values() if isinstance(o, CountedObjective)]
    trainable = sum(modules.values())
    return Counted(
        configuration,
        trainable,
        shapes.backbone_parameters,
        100 * trainable / shapes.backbone_parameters,
        shapes.head_parameters,
        modules,
        {o.name: float(o.count(configuration, setting)) for o in objectives},
        {o.name: float(o.count(uniform, setting)) for o in objectives},
    )


def configuration_of(method: str, given: dict[str, Any], num_layers: int) -> Configuration:
    """Fill in the method's defaults.

    Args:
        method: a method's name, or "a+b".
        given: settings by name as text or values, with "layers" and "frozen_layers"; these two are taken out of it.
        num_layers: the backbone's blocks, L.

    Returns:
        The configuration, at the lower end of the first method's learning rates.

    Raises:
        AutopeftError: a setting is unknown, or a value is of the wrong kind.
    """
    from autopeft.space.setting_values import setting_value  # loads Optuna

    asked = given.pop("layers", "all")
    layers = parse_layers(asked, int_of("frozen_layers", given.pop("frozen_layers", 0)), num_layers)
    methods = method.split("+")
    settings = {key(methods, m, k): v for m in methods for k, v in get_method(m).defaults.items()}
    for name, value in given.items():
        if name not in settings:
            raise AutopeftError(
                f"{method} has no setting '{name}'." + did_you_mean(name, [*settings, "layers", "frozen_layers"])
            )
        part, _, setting = name.rpartition(".")
        settings[name] = setting_value(get_method(part or method), setting, value)
    if all(get_method(m).layers == "none" for m in methods):
        layers = ()
    if any(get_method(m).layers == "one" for m in methods):
        if asked != "all" and len(layers) > 1:
            raise AutopeftError(f"{method} trains one layer, and layers names {len(layers)}: name one.")
        layers = layers[:1]
    return Configuration.of(method, settings, layers, get_method(methods[0]).learning_rate[0])


def key(methods: list[str], method: str, setting: str) -> str:
    """A setting's name, which in a combination carries its method."""
    return setting if len(methods) == 1 else f"{method}.{setting}"


def int_of(name: str, value: Any) -> int:
    """Read a whole number. Raises AutopeftError."""
    try:
        return int(str(value))
    except ValueError:
        example = "0,2-4 or all" if name == "layers" else "2"
        raise AutopeftError(f"'{name}' takes whole numbers such as {example}, not '{value}'.") from None


def parse_layers(text: str | None, frozen: int, num_layers: int) -> tuple[int, ...]:
    """Read "all" or "0,2-4" as block indices, those below the frozen prefix left out.

    Args:
        text: "all" (or None) or a list of block indices and ranges.
        frozen: blocks below which nothing is adapted.
        num_layers: the backbone's blocks, L.

    Returns:
        The block indices from `frozen` on, ascending.

    Raises:
        AutopeftError: a block that the backbone lacks.
    """
    if not 0 <= frozen < num_layers:
        raise AutopeftError(
            f"frozen_layers is 0 to {num_layers - 1} on this backbone of {num_layers} layers, not {frozen}."
        )
    if text in ("all", None):
        return tuple(range(frozen, num_layers))
    chosen: set[int] = set()
    for part in str(text).split(","):
        low, _, high = part.partition("-")
        first, last = int_of("layers", low), int_of("layers", high or low)
        if last < first:
            raise AutopeftError(f"layers names '{part.strip()}', which runs downwards: write {last}-{first}.")
        if outside := [x for x in (first, last) if not 0 <= x < num_layers]:
            raise AutopeftError(f"layers names {outside[0]}, and this backbone has layers 0 to {num_layers - 1}.")
        chosen.update(range(first, last + 1))
    above = tuple(sorted(x for x in chosen if x >= frozen))
    if not above:
        raise AutopeftError(
            f"layers={text} names none above the {frozen} frozen layers: lower frozen_layers, or name others."
        )
    return above
