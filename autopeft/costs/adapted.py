"""A configuration -> what each layer has adapted: the places where its methods compute something."""

from dataclasses import dataclass, field

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.methods import Method, get_method

Part = tuple[Method, dict]  # a method and its settings


@dataclass
class Layer:
    """What the methods of a configuration adapt in one layer.

    linears: path -> the methods on it; trained: paths whose own weights are trained; turned: paths whose input is
    changed; norms, attention, block: whether those are adapted; keys: how many keys are read besides the text's.
    """

    linears: dict[str, list[Part]] = field(default_factory=dict)
    trained: set[str] = field(default_factory=set)
    turned: set[str] = field(default_factory=set)
    norms: bool = False
    attention: list[Part] = field(default_factory=list)
    block: list[Part] = field(default_factory=list)
    keys: int = 0
    whole: bool = False


@dataclass
class Adapted:
    """Every layer's, and what lies beside the blocks: a prompt of `tokens`, trained embeddings."""

    layers: list[Layer]
    counts: dict[str, dict[str, int]]  # method -> path -> trainable parameters
    tokens: int = 0
    prompts: list[Part] = field(default_factory=list)
    embeddings: bool = False


def adapted(configuration: Configuration, shapes: BackboneShapes) -> Adapted:
    """The places of all methods of a configuration."""
    found = Adapted([Layer() for _ in range(shapes.num_layers)], {})
    for name in configuration.methods:
        method, settings = get_method(name), configuration.settings_of(name)
        found.counts[name] = method.count(settings, configuration.layers, shapes)
        found.tokens += method.extra_tokens(settings)
        found.prompts += [(method, settings)] if method.extra_tokens(settings) else []
        _place(found, (method, settings), configuration.layers, shapes)
    return found


def _place(found: Adapted, part: Part, layers: tuple[int, ...], shapes: BackboneShapes) -> None:
    method, settings = part
    counts = found.counts[method.name]
    norms = {norm.path for norm in shapes.norms}
    targets = set(counts)
    if "target_modules" in settings and layers:  # some count one vector for all of them
        targets = {x.path for x in shapes.select(str(settings["target_modules"]), layers)}
    for number in layers:
        layer = found.layers[number]
        if shapes.block(number) in targets:
            if method.trains_weights:
                layer.whole = True
                layer.trained |= {x.path for x in shapes.blocks[number]}
            else:
                layer.block.append(part)
        for linear in shapes.blocks[number]:
            if linear.path in targets:
                layer.linears.setdefault(linear.path, []).append(part)
                if method.trains_weights:
                    layer.trained.add(linear.path)
                if linear.role in method.turns_input:
                    layer.turned.add(linear.path)
        if shapes.attention_paths[number] in targets:
            layer.attention.append(part)
            layer.keys += method.extra_keys(settings)
    for path in norms & targets:
        found.layers[shapes.layer_of(path) or 0].norms = True
    found.embeddings |= method.name == "full" and 0 in layers
