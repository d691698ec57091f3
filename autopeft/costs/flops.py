"""Floating-point operations of a step, as torch.utils.flop_counter counts them: matrix products, a multiply-add is 2."""

from collections.abc import Hashable, Iterator

from autopeft.backbone.shapes import BackboneShapes, Linear
from autopeft.configuration import Configuration
from autopeft.costs.adapted import Adapted, Part, adapted
from autopeft.costs.alike import kind_of_layer
from autopeft.costs.gradients import POST_NORM, Flow, crosses, flows
from autopeft.costs.places import at_attention, at_block, at_linear, at_prompt
from autopeft.costs.step import Step
from autopeft.methods import get_method
from autopeft.methods.mechanisms.work import Work
from autopeft.procedures import get_procedure


def train_flops(configuration: Configuration, shapes: BackboneShapes, step: Step) -> int:
    """Operations of the forward and backward pass of one training step; the optimiser multiplies no matrices.

    Args:
        configuration: What is trained, and how.
        shapes: The backbone's sizes.
        step: The sizes of the step.

    Returns:
        Floating-point operations, those that gradient checkpointing repeats included.
    """
    procedure = get_procedure(configuration.procedure)
    forwards, backwards = procedure.passes({**procedure.defaults, **dict(configuration.procedure_settings)})
    found = adapted(configuration, shapes)
    forward, backward, again = _passes(found, configuration, shapes, step)
    again = again if step.gradient_checkpointing and backwards else 0
    return round(forward * forwards + (backward + again) * backwards)


def forward_flops(configuration: Configuration, shapes: BackboneShapes, step: Step, merged: bool) -> int:
    """Operations of one forward pass without gradients.

    Args:
        configuration: What is attached.
        shapes: The backbone's sizes.
        step: The sizes of the batch.
        merged: Whether the adapters are merged into the weights, where their method can be.

    Returns:
        Floating-point operations; merged, those of the bare backbone.
    """
    bare = merged and all(get_method(name).mergeable for name in configuration.methods)
    found = adapted(Configuration("head_only", (), (), 1.0) if bare else configuration, shapes)
    return round(_passes(found, configuration, shapes, step)[0])


def _passes(
    found: Adapted, configuration: Configuration, shapes: BackboneShapes, step: Step
) -> tuple[float, float, float]:
    """(forward, backward, forward again under checkpointing)."""
    forward = backward = again = 0.0
    procedure = get_procedure(configuration.procedure)
    stored = shapes.num_layers if configuration.frozen_layers is None else configuration.frozen_layers
    stored = stored if step.stored_prefix and not procedure.needs_whole_backbone else 0
    kept = procedure.kept(configuration, shapes)
    known: dict[Hashable, tuple[float, float, float]] = {}
    flow_of = flows(found, shapes)
    for number, flow in enumerate(flow_of[stored:], start=stored):
        share = kept.get(number, 1.0)
        kind = kind_of_layer(found, shapes, number, flow, share)
        if kind not in known:
            block = _Block(found, shapes, step, number, share)
            ahead = block.forward()
            known[kind] = ahead, block.backward(flow), ahead - block.in_loss() - block.last()
        ahead, back, repeated = known[kind]
        forward, backward = forward + ahead, backward + back
        again += repeated if flow.exit and _recomputed(number, configuration, shapes) else 0
    for method, settings in found.prompts:
        work = method.work(settings, at_prompt(found, method, shapes, step))
        forward, backward = forward + work.forward, backward + work.backward
    stream = flow_of[-1].exit or any(get_method(name).beside_backbone for name in configuration.methods)
    head_forward, head_backward = _outer(found, configuration, shapes, step, stream, bool(stored))
    return forward + head_forward, backward + head_backward, again


def _recomputed(number: int, configuration: Configuration, shapes: BackboneShapes) -> bool:
    """Whether checkpointing repeats a layer: the lowest adapted one and all above, of an encoder-decoder the encoder's."""
    return number >= (configuration.frozen_layers or 0) and not (
        shapes.decoder_path and number >= shapes.encoder_layers
    )


class _Block:
    """The products of one layer."""

    def __init__(self, found: Adapted, shapes: BackboneShapes, step: Step, number: int, kept: float) -> None:
        self.found, self.shapes, self.step, self.number = found, shapes, step, number
        self.layer, self.linears = found.layers[number], shapes.blocks[number]
        writes = bool(shapes.decoder_path) and number >= shapes.encoder_layers
        self.length = (step.targets if writes else step.tokens + found.tokens) * kept
        self.cross = [x for x in self.linears if crosses(x, shapes, number)]

    def tokens(self, linear: Linear) -> float:
        """Vectors that pass a linear, those of all rows."""
        if linear in self.cross and linear.role in ("key", "value"):
            return self.step.rows * self.step.tokens
        return self.step.rows * self.length

    def positions(self, linear: Linear) -> int:
        """Position vectors that pass a linear besides, once for all rows."""
        return self.shapes.relative_positions if linear.role in ("query", "key") else 0

    @property
    def width(self) -> int:
        """Width of all query heads together."""
        return next(x.in_features for x in self.linears if x.role == "attention_output")

    @property
    def scores(self) -> list[float]:
        """Operations of one product of each attention: queries times keys."""
        own = 2 * self.step.rows * self.length * (self.length + self.layer.keys) * self.width
        if not self.cross:
            return [own]
        return [own, 2 * self.step.rows * self.length * self.step.tokens * self.width]

    def relative(self) -> float:
        """Queries, and keys, times the position vectors (DeBERTa)."""
        return 2 * 2 * self.step.rows * self.length * self.shapes.relative_positions * self.width

    def forward(self) -> float:
        total = 2 * sum(self.scores) + self.relative()
        for x in self.linears:
            total += 2 * x.in_features * x.out_features * (self.tokens(x) + self.positions(x))
            for part in self.layer.linears.get(x.path, ()):
                total += self._at(part, x).forward
        return total + sum(work.forward for work in self._wide())

    def _at(self, part: Part, linear: Linear) -> Work:
        method, settings = part
        tokens = self.tokens(linear) + self.positions(linear)
        return method.work(settings, at_linear(self.found, method, linear, tokens, self.step))

    def _wide(self) -> Iterator[Work]:
        """The works of what is adapted beside linears."""
        for method, settings in self.layer.block:
            yield method.work(settings, at_block(self.found, method, self.shapes, self.number, self.step, self.length))
        for method, settings in self.layer.attention:
            yield method.work(
                settings, at_attention(self.found, method, self.shapes, self.number, self.step, self.length)
            )

    def backward(self, flow: Flow) -> float:
        if not flow.exit and not self.layer.linears and not self.layer.attention:
            return 0.0
        total = self._attention(flow)
        for x in self.linears:
            product = 2 * x.in_features * x.out_features * self.tokens(x)
            total += product * (x.path in flow.inputs) + product * (x.path in self.layer.trained)
            if x.path in self.layer.trained:
                total += 2 * x.in_features * x.out_features * self.positions(x) * (1 + self.found.embeddings)
            for part in self.layer.linears.get(x.path, ()):
                work = self._at(part, x)
                total += work.backward + work.input_gradient * (x.path in flow.inputs)
        for work in self._wide():
            total += work.backward + work.input_gradient * (flow.entry or bool(flow.inputs))
        return total

    def _attention(self, flow: Flow) -> float:
        products = flow.query + flow.key + flow.value + (flow.query or flow.key)
        products = 3 + flow.query if self.layer.keys else products
        if products and self.step.attention == "sdpa" and not self.shapes.relative_positions:
            products = 5  # the scores are computed again, and all three gradients at once
        total = products * self.scores[0]
        if self.cross:
            total += (5 if self.step.attention == "sdpa" else 4) * self.scores[1] * flow.exit
        asked = flow.query + flow.key + self._moved("query") + self._moved("key")
        return total + self.relative() / 2 * asked

    def _moved(self, role: str) -> bool:
        """Whether what a role's linear makes of position vectors needs a gradient."""
        moved = self.layer.linears.keys() | self.layer.trained
        return any(x.role == role and x.path in moved for x in self.linears)

    def in_loss(self) -> int:
        """What regularisers compute of this layer's places."""
        return sum(self._at(part, x).in_loss for x in self.linears for part in self.layer.linears.get(x.path, ()))

    def last(self) -> float:
        """The last product, which checkpointing does not repeat unless something behind it keeps its result."""
        works = list(self._wide())
        if self.layer.block:
            return _second(works[-1], 1.0)
        x = next(x for x in reversed(self.linears) if x.role == "ffn_out")
        parts = self.layer.linears.get(x.path, [])
        if self.shapes.model_type in POST_NORM or any(method.bypasses_linear for method, _ in parts):
            return 0.0
        own = sum(_second(self._at(part, x), x.out_features / x.in_features) for part in parts[-1:])
        return own or 2 * x.in_features * x.out_features * self.tokens(x)


def _second(work: Work, ratio: float) -> float:
    """The last product of a pair whose widths have that ratio."""
    first = work.input_gradient
    return min(work.forward - first, first * ratio) if first else work.forward / 2


def _outer(
    found: Adapted, configuration: Configuration, shapes: BackboneShapes, step: Step, stream: bool, stored: bool
) -> tuple[float, float]:
    """(forward, backward) of the products below and above the blocks."""
    forward = backward = 0.0
    kind = shapes.kind
    per_row = kind.new_head and kind.row_level and not shapes.is_decoder
    trained = kind.new_head
    for x in shapes.outer_linears:
        below = x.layer < 0
        tokens = step.rows * (step.tokens if below else 1 if per_row else step.targets if not trained else step.tokens)
        product = 2 * x.in_features * x.out_features * tokens
        if below:
            forward += 0 if stored else product
            backward += product * found.embeddings
        else:
            forward += product
            backward += product * stream + product * (trained or found.embeddings)
            stream = stream or trained
    return forward, backward
