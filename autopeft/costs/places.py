"""Where a configuration's methods compute something -> the Place that their work is counted from."""

from autopeft.backbone.shapes import BackboneShapes, Linear
from autopeft.costs.adapted import Adapted
from autopeft.costs.step import Step
from autopeft.methods import Method
from autopeft.methods.mechanisms.work import Place


def at_linear(found: Adapted, method: Method, linear: Linear, tokens: float, step: Step) -> Place:
    """The place of a method on a linear that so many vectors pass."""
    counts = found.counts[method.name]
    return Place(
        counts.get(linear.path, 0),
        linear.in_features,
        linear.out_features,
        round(tokens),
        step.rows,
        step.weight_bytes,
        linear.bias,
        linear.in_features * linear.out_features,
        linear.role,
    )


def at_block(found: Adapted, method: Method, shapes: BackboneShapes, number: int, step: Step, length: float) -> Place:
    """The place of a method around the block of a layer, whose rows have that length."""
    parameters = found.counts[method.name].get(shapes.block(number), 0)
    return Place(
        parameters, shapes.hidden_size, shapes.hidden_size, round(step.rows * length), step.rows, step.weight_bytes
    )


def at_attention(
    found: Adapted, method: Method, shapes: BackboneShapes, number: int, step: Step, length: float
) -> Place:
    """The place of a method inside the attention of a layer."""
    parameters = found.counts[method.name].get(shapes.attention_paths[number], 0)
    return Place(
        parameters,
        shapes.hidden_size,
        shapes.kv_size,
        round(step.rows * length),
        step.rows,
        step.weight_bytes,
        role="attention",
    )


def at_prompt(found: Adapted, method: Method, shapes: BackboneShapes, step: Step) -> Place:
    """The place of a method that puts tokens before every row."""
    parameters = sum(found.counts[method.name].values())
    return Place(
        parameters, shapes.hidden_size, shapes.hidden_size, found.tokens, step.rows, step.weight_bytes, role="prompt"
    )
