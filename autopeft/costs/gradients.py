"""Which activations of each layer need gradients: from the lowest trained number upwards, all of them."""

from collections.abc import Collection
from dataclasses import dataclass

from autopeft.backbone.shapes import BackboneShapes, Linear
from autopeft.costs.adapted import Adapted, Layer

POST_NORM = (
    "bert",
    "roberta",
    "xlm-roberta",
    "camembert",
    "electra",
    "distilbert",
    "deberta",
    "deberta-v2",
    "mpnet",
    "bart",
)


@dataclass(frozen=True)
class Flow:
    """Where gradients flow in one layer.

    inputs: paths of the linears whose input needs one; query, key, value: whether what attention reads does; entry,
    exit: whether what the block reads and returns does; cross: the same of what an encoder hands to a decoder.
    """

    entry: bool
    exit: bool
    query: bool
    key: bool
    value: bool
    inputs: frozenset[str]


def flows(found: Adapted, shapes: BackboneShapes) -> tuple[Flow, ...]:
    """The flow of every layer, from the lowest up; the stack of a decoder begins anew."""
    stream, encoded, result = bool(found.tokens) or found.embeddings, False, []
    for number, layer in enumerate(found.layers):
        if shapes.decoder_path and number == shapes.encoder_layers:
            stream, encoded = found.embeddings, stream
        result.append(_flow(layer, stream, encoded, shapes.blocks[number], shapes, number))
        stream = result[-1].exit
    return tuple(result)


def _flow(
    layer: Layer, stream: bool, encoded: bool, linears: Collection[Linear], shapes: BackboneShapes, number: int
) -> Flow:
    post = shapes.model_type in POST_NORM
    moved = {
        path for path, parts in layer.linears.items() if not all(m.beside_backbone for m, _ in parts)
    } | layer.trained
    first = stream or ((layer.norms or layer.whole) and not post and _begins_with_norm(shapes, number))
    own = tuple(x for x in linears if not crosses(x, shapes, number))
    cross = tuple(x for x in linears if crosses(x, shapes, number))
    inputs = set(layer.turned)
    attending = {}
    for x in own:
        if x.role in ("query", "key", "value", "query_key_value"):
            inputs |= {x.path} if first else set()
            attending[x.role] = first or x.path in moved
    query, key, value = (attending.get(role, False) or attending.get("query_key_value", False) for role in ROLES)
    mixed = query or key or value or bool([m for m, _ in layer.attention if not m.beside_backbone])
    after = _through("attention_output", own, mixed, inputs, moved) or stream
    after = after or (layer.norms and post)
    if cross:
        read = {x.role: after if x.role == "query" else encoded for x in cross}
        inputs |= {x.path for x in cross if read.get(x.role) and x.role != "attention_output"}
        mixed = any(read[x.role] or x.path in moved for x in cross if x.role != "attention_output")
        after = _through("attention_output", cross, mixed, inputs, moved) or after
    fed = (stream or first) if shapes.parallel_blocks else after or layer.norms or layer.whole
    inner = [x for x in own if x.role in ("ffn_in", "ffn_gate")]
    inputs |= {x.path for x in inner} if fed else set()
    hidden = fed or any(x.path in moved for x in inner)
    out = _through("ffn_out", own, hidden, inputs, moved)
    exits = out or after or bool([m for m, _ in layer.block if not m.beside_backbone]) or layer.whole or layer.norms
    return Flow(stream, exits, query, key, value, frozenset(inputs))


def _begins_with_norm(shapes: BackboneShapes, number: int) -> bool:
    """Whether there is a norm before a layer's attention: ModernBERT's first layer has none."""
    norms = [norm.layer for norm in shapes.norms]
    return number > 0 or norms.count(0) >= norms.count(min(1, shapes.num_layers - 1))


ROLES = ("query", "key", "value")


def _through(role: str, linears: Collection[Linear], given: bool, inputs: set[str], moved: set[str]) -> bool:
    """Whether the output of the linears of a role needs a gradient; adds them to `inputs` where their input does."""
    chosen = [x.path for x in linears if x.role == role]
    inputs |= set(chosen) if given else set()
    return given or any(path in moved for path in chosen)


def crosses(linear: Linear, shapes: BackboneShapes, number: int) -> bool:
    """Whether a linear belongs to a decoder's attention to its encoder."""
    if not shapes.decoder_path or number < shapes.encoder_layers or linear.role.startswith("ffn"):
        return False
    container = shapes.attention_paths[number].rpartition(".")[0]
    own = shapes.attention_paths[number] + "."
    return not linear.path.startswith(own) and linear.path.startswith(container.rpartition(".")[0])
