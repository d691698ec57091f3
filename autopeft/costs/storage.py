"""Bytes that peft stores for a configuration: what is sent, and loaded onto the backbone again."""

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.methods import count, get_method

FP32 = 4  # bytes of a trained number, whatever the backbone's number format


def adapter_bytes(configuration: Configuration, shapes: BackboneShapes) -> int:
    """Bytes of the tensors in adapter_model.safetensors: trained numbers, the head's copies, and what a method adds.

    Args:
        configuration: What is stored.
        shapes: The backbone's sizes.

    Returns:
        Bytes, without the file's own header of some hundred bytes a tensor.
    """
    extra = 0
    for name in configuration.methods:
        stored = get_method(name).stored(configuration.settings_of(name), configuration.layers, shapes)
        extra += sum(stored.values())
    return FP32 * (count(configuration, shapes) + shapes.head_parameters) + extra
