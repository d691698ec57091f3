"""Peak bytes of a training step: weights, gradients, moments, what is kept for the backward pass, and its workspace.

What torch's autograd keeps: a product keeps what it reads where its weight is trained, a norm its input, an activation
function its input, attention its queries, keys and values and, written out ("eager"), its probabilities. Nothing is
kept below the lowest adapted block. The peak is the largest of: the end of the forward pass, the loss, each block of
the backward pass, and the optimiser's step. A procedure says how many moments its optimiser keeps.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.costs.activations import Activations
from autopeft.costs.adapted import Adapted, adapted
from autopeft.costs.alike import kind_of_layer
from autopeft.costs.gradients import flows
from autopeft.costs.step import Step
from autopeft.methods import count, get_method
from autopeft.procedures import get_procedure

FP32 = 4


@dataclass(frozen=True)
class Memory:
    """Bytes of a training step by what they hold; `peak` is not their sum, for not all live at one time."""

    weights: int
    trained: int
    gradients: int
    moments: int
    activations: int
    logits: int
    peak: int


def train_memory(configuration: Configuration, shapes: BackboneShapes, step: Step) -> int:
    """Peak bytes of one training step.

    Args:
        configuration: What is trained, and how.
        shapes: The backbone's sizes.
        step: The sizes of the step.

    Returns:
        Bytes of tensors; an allocator's own rounding and a device's context come on top.
    """
    return memory(configuration, shapes, step).peak


def memory(configuration: Configuration, shapes: BackboneShapes, step: Step) -> Memory:
    """Peak bytes of one training step, with their parts."""
    trained = count(configuration, shapes) + shapes.head_parameters
    weights = (shapes.backbone_parameters + shapes.head_parameters) * step.weight_bytes + _frozen(configuration, shapes)
    parameters = trained * FP32 + (trained * 2 if step.weight_bytes < FP32 else 0)  # autocast's copies
    procedure = get_procedure(configuration.procedure)
    backwards = procedure.passes(dict(configuration.procedure_settings))[1]
    # Without a graph a pass keeps what that of the bare backbone keeps, nothing, but a direction lives through it.
    found = adapted(configuration if backwards else Configuration.of("head_only", {}, (), 1.0), shapes)
    layers = _layers(found, configuration, shapes, step)
    held = [layer.held if backwards else 0 for layer in layers]  # until the backward pass; less under checkpointing
    logits = _logits(shapes, step)
    gradients, moments = FP32 * trained, procedure.moments * FP32 * trained
    fixed = weights + parameters + moments + (0 if backwards else gradients)
    peaks = [weights + parameters + moments + gradients, fixed + sum(held) + (3 if backwards else 1) * logits]
    peaks.append(fixed + sum(held) + logits + layers[-1].cache)
    for number, layer in enumerate(layers):
        above = round(gradients * (1 - number / len(layers))) if layer.kept else 0
        cached = 0 if layer.kept else layer.cache * (number + 1) / len(layers)
        peaks.append(fixed + sum(held[:number]) + layer.peak + above + cached)
    return Memory(weights, parameters, gradients, moments, round(sum(held)), logits, round(max(peaks)))


def _layers(found: Adapted, configuration: Configuration, shapes: BackboneShapes, step: Step) -> list[Activations]:
    """The activations of every layer; layers of one kind share theirs."""
    kept = get_procedure(configuration.procedure).kept(configuration, shapes)
    known: dict[Hashable, Activations] = {}
    result = []
    for number, flow in enumerate(flows(found, shapes)):
        kind = kind_of_layer(found, shapes, number, flow, kept.get(number, 1.0))
        if kind not in known:
            known[kind] = Activations(found, shapes, step, number, flow, kept.get(number, 1.0))
        result.append(known[kind])
    return result


def _frozen(configuration: Configuration, shapes: BackboneShapes) -> int:
    """Bytes of what methods hold beside the trained numbers."""
    parts = ((get_method(name), configuration.settings_of(name)) for name in configuration.methods)
    return sum(method.frozen_bytes(settings, configuration.layers, shapes) for method, settings in parts)


def _logits(shapes: BackboneShapes, step: Step) -> int:
    """Bytes of the scores of all words in fp32; of classes they are nothing beside the rest."""
    if shapes.kind.new_head:
        return 0
    return FP32 * step.rows * step.targets * shapes.vocab_size
