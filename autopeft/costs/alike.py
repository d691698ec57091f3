"""Which layers cost the same: most of a backbone's do, so a cost is counted once for each kind of layer."""

from collections.abc import Hashable

from autopeft.backbone.shapes import BackboneShapes
from autopeft.costs.adapted import Adapted, Part
from autopeft.costs.gradients import Flow


def kind_of_layer(found: Adapted, shapes: BackboneShapes, number: int, flow: Flow, kept: float) -> Hashable:
    """Equal for two layers that cost the same.

    Args:
        found: What is adapted.
        shapes: The backbone's sizes.
        number: Of the layer.
        flow: Where gradients flow in it.
        kept: The share of each row's tokens that it runs on.

    Returns:
        A key: the sizes of its linears, which of their inputs need gradients, and what each method trains there.
    """
    layer = found.layers[number]

    def trained(parts: list[Part], path: str) -> tuple:
        return tuple((method.name, found.counts[method.name].get(path)) for method, _ in parts)

    linears = tuple(
        (
            x.role,
            x.in_features,
            x.out_features,
            x.path in flow.inputs,
            x.path in layer.trained,
            trained(layer.linears[x.path], x.path) if x.path in layer.linears else (),
        )
        for x in shapes.blocks[number]
    )
    wide = trained(layer.block, shapes.block(number)), trained(layer.attention, shapes.attention_paths[number])
    writes = bool(shapes.decoder_path) and number >= shapes.encoder_layers
    states = flow.entry, flow.exit, flow.query, flow.key, flow.value, layer.norms, layer.whole
    return linears, wide, writes, states, kept
