"""Backbone sizes made from numbers alone, for tests that need no model."""

from autopeft.backbone.shapes import BackboneShapes, Bias, Linear


def bert_shapes(layers: int = 3, hidden: int = 32, ffn: int = 64) -> BackboneShapes:
    """A BERT-like encoder: query, key, value, attention output and two feed-forward linears per block, with biases."""
    widths = {
        "query": (hidden, hidden),
        "key": (hidden, hidden),
        "value": (hidden, hidden),
        "attention_output": (hidden, hidden),
        "ffn_in": (hidden, ffn),
        "ffn_out": (ffn, hidden),
    }
    linears = tuple(
        Linear(f"bert.layer.{i}.{role}", role, i, *io, True) for i in range(layers) for role, io in widths.items()
    )
    biases = tuple(Bias(x.path, x.layer, x.out_features) for x in linears)
    block = sum(x.in_features * x.out_features + x.out_features for x in linears) // layers
    return BackboneShapes(
        name="tiny",
        model_type="bert",
        hidden_size=hidden,
        num_layers=layers,
        kv_size=hidden,
        is_decoder=False,
        blocks_path="bert.layer",
        attention_paths=tuple(f"bert.layer.{i}" for i in range(layers)),
        linears=linears,
        biases=biases,
        block_parameters=(block,) * layers,
        backbone_parameters=block * layers + 100 * hidden,
        head_parameters=2 * hidden + 2,
        head_modules=("classifier",),
        prefix_attention=True,
        prefix_cache=True,
    )
