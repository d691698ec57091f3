"""The sizes that costs are counted from, and those that an earlier release stored."""

from measured import INNER, LAYERS, WIDTH, backbone

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.costs import Step, adapter_bytes, train_flops, train_memory
from autopeft.methods import REGISTRY

NEW = ("num_heads", "vocab_size", "outer_linears", "activation", "rms_norm", "parallel_blocks", "relative_positions")


def test_what_lies_beside_the_blocks():
    shapes = backbone("bert").shapes
    above = [(x.path, x.layer, x.in_features, x.out_features) for x in shapes.outer_linears]
    assert above == [("bert.pooler.dense", LAYERS, WIDTH, WIDTH), ("classifier", LAYERS, WIDTH, 3)]
    picture = backbone("vit").shapes.outer_linears
    assert [x.layer for x in picture] == [-1, LAYERS] and picture[0].in_features == 3 * 4 * 4
    assert backbone("deberta-v2").shapes.relative_positions == 16
    assert backbone("llama").shapes.rms_norm and not backbone("gpt2").shapes.rms_norm
    assert backbone("gpt_neox").shapes.parallel_blocks and backbone("gpt2").shapes.activation == "gelu_new"
    assert {x.out_features for x in backbone("llama").shapes.blocks[0] if x.role == "ffn_in"} == {INNER}


def test_sizes_round_trip_and_those_of_release_0_1_are_read():
    shapes = backbone("llama").shapes
    data = shapes.to_json()
    assert BackboneShapes.from_json(data) == shapes
    old = BackboneShapes.from_json({name: value for name, value in data.items() if name not in NEW})
    lora, step = Configuration.of("lora", REGISTRY["lora"].defaults, range(LAYERS), 1e-3), Step(3, 24)
    assert adapter_bytes(lora, old) == adapter_bytes(lora, shapes)
    assert 0 < train_flops(lora, old, step) <= train_flops(lora, shapes, step)
    assert train_memory(lora, old, step) > 0
