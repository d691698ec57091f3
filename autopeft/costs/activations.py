"""What one layer keeps from the forward pass for the backward pass, and what it needs while it runs."""

from functools import cached_property

from autopeft.backbone.shapes import BackboneShapes, Linear
from autopeft.costs.adapted import Adapted
from autopeft.costs.gradients import POST_NORM, Flow, crosses
from autopeft.costs.places import at_attention, at_block, at_linear
from autopeft.costs.step import Step

FP32 = 4
KEPT = {"gelu_new": 4, "gelu_fast": 5, "quick_gelu": 2}  # tensors that an activation function keeps, where not one
SAME_INPUT = {"query": "block", "key": "block", "value": "block", "query_key_value": "block", "ffn_gate": "ffn_in"}


class Activations:
    """The bytes of one layer during a training step.

    `kept` is what autograd keeps, `held` what of it lives until the backward pass reaches the layer, `peak` the most
    that lives while the layer runs, and `cache` the keys and values that a decoder's forward pass gathers.
    """

    def __init__(
        self, found: Adapted, shapes: BackboneShapes, step: Step, number: int, flow: Flow, share: float
    ) -> None:
        self.found, self.shapes, self.step, self.number, self.flow = found, shapes, step, number, flow
        self.layer, self.linears = found.layers[number], shapes.blocks[number]
        writes = bool(shapes.decoder_path) and number >= shapes.encoder_layers
        self.length = (step.targets if writes else step.tokens + found.tokens) * share
        self.tokens = step.rows * self.length
        self.size = step.weight_bytes  # bytes of an activation

    def _width(self, *roles: str, outputs: bool = True) -> int:
        return sum(x.out_features if outputs else x.in_features for x in self.linears if x.role in roles)

    @property
    def queries(self) -> int:
        """Width of all heads together, of every attention of the layer."""
        return self._width("attention_output", outputs=False)

    @property
    def probabilities(self) -> float:
        """Numbers in the probabilities of the layer's attentions."""
        keys = self.length + self.layer.keys
        if any(crosses(x, self.shapes, self.number) for x in self.linears):
            keys += self.step.tokens
        return self.step.rows * max(1, self.shapes.num_heads) * self.length * keys

    @property
    def inner(self) -> int:
        """Width inside the feed-forward net."""
        return self._width("ffn_out", outputs=False)

    @property
    def gated(self) -> bool:
        """Whether the feed-forward net multiplies its inside by a gate."""
        return self._width("ffn_in", "ffn_gate") > self.inner

    @cached_property
    def kept(self) -> float:
        """What autograd keeps of the layer."""
        return self._attention() + self._norms() + self._feed_forward() + self._inputs() + self._additions()

    @cached_property
    def held(self) -> float:
        """Of that, what lives from the forward pass to the layer's turn in the backward pass."""
        if not self.step.gradient_checkpointing or not self.kept:
            return self.kept
        return self.tokens * self.shapes.hidden_size * self.size

    @cached_property
    def peak(self) -> float:
        """The most that lives of the layer while it runs, forward or backward: in its attention or behind it."""
        stream = 2 * self.tokens * self.shapes.hidden_size * self.size
        attention = 3 * self.tokens * self.queries * self.size
        if self._eager:
            attention += 2 * self.probabilities * FP32
        tensors = KEPT.get(self.shapes.activation, 1) + 1 + self.gated if not self.kept else 2 + self.gated
        tensors -= self._reads("ffn_out")  # freed before the second gradient of its size is made
        behind = tensors * self.tokens * self.inner * self.size - self._norms() / 2
        weights = max((x.in_features * x.out_features for x in self.linears if self._whole(x)), default=0)
        entrance = self.kept - self._feed_forward() - self._norms() / 2 - self._inputs(behind=True)
        return stream + max(entrance + attention, self.kept + behind) + FP32 * weights

    @cached_property
    def cache(self) -> float:
        """Keys and values of all layers."""
        kept = self.shapes.is_decoder and not self.step.gradient_checkpointing
        return 2 * self.tokens * self.shapes.kv_size * self.size * self.shapes.num_layers * kept

    @property
    def _eager(self) -> bool:
        return self.step.attention == "eager" or bool(self.shapes.relative_positions)

    def _attention(self) -> float:
        if not (self.flow.query or self.flow.key or self.flow.value or self.layer.keys):
            return 0
        width = self.tokens * self.queries * self.size
        if self._eager:
            asked = self.flow.query or self.flow.key
            probabilities = self.probabilities * FP32 * (2.5 if self.shapes.relative_positions else 1)
            return (1 + 2 * asked) * width + probabilities
        return 4 * width + self.step.rows * self.shapes.num_heads * self.length * FP32

    def _norms(self) -> float:
        """Both norms' inputs; under autocast a norm works in fp32."""
        each = self.tokens * self.shapes.hidden_size * FP32
        extra = 1 + (self.shapes.rms_norm and (self.layer.norms or self.layer.whole))
        first, second = self.flow.entry or (self.layer.norms or self.layer.whole), self._fed
        if self.shapes.model_type in POST_NORM:
            first, second = second, self.flow.exit
        return (first + second) * each * extra

    @property
    def _fed(self) -> bool:
        """Whether what the feed-forward net reads needs a gradient."""
        return any(x.path in self.flow.inputs for x in self.linears if x.role == "ffn_in")

    def _feed_forward(self) -> float:
        inner = [x.path for x in self.linears if x.role in ("ffn_in", "ffn_gate")]
        if not self._fed and not any(path in self.layer.linears or path in self.layer.trained for path in inner):
            return 0
        tensors = KEPT.get(self.shapes.activation, 1) + 2 * self.gated
        tensors -= self.shapes.activation == "relu" and self._reads("ffn_out")  # both keep the same tensor
        return tensors * self.tokens * self.inner * self.size

    def _whole(self, linear: Linear) -> bool:
        """Whether the gradient of a linear's whole weight is made."""
        parts = self.layer.linears.get(linear.path, ())
        return linear.path in self.layer.trained or any(method.bypasses_linear for method, _ in parts)

    def _inputs(self, behind: bool = False) -> float:
        """What adapted linears read, once for those that read the same; `behind`: those of the feed-forward net alone."""
        read: dict[str, int] = {}
        for x in self.linears:
            if behind and not x.role.startswith("ffn"):
                continue
            if x.role == "attention_output" and not self._eager and self.flow.exit:
                continue  # what the fused attention returns, which it keeps itself
            if self._keeps_input(x):
                read[SAME_INPUT.get(x.role, x.role)] = x.in_features
        return self.tokens * sum(read.values()) * self.size

    def _keeps_input(self, linear: Linear) -> bool:
        parts = self.layer.linears.get(linear.path, ())
        works = (m.work(s, at_linear(self.found, m, linear, self.tokens, self.step)) for m, s in parts)
        return linear.path in self.layer.trained or any(work.keeps_input for work in works)

    def _reads(self, role: str) -> bool:
        """Whether the input of a role's linear is kept."""
        return any(self._keeps_input(x) for x in self.linears if x.role == role)

    def _additions(self) -> float:
        """What the methods' own products keep, in fp32 unless autocast rounds it."""
        total = 0.0
        for x in self.linears:
            for method, settings in self.layer.linears.get(x.path, ()):
                total += method.work(settings, at_linear(self.found, method, x, self.tokens, self.step)).saved
        for method, settings in self.layer.block:
            work = method.work(settings, at_block(self.found, method, self.shapes, self.number, self.step, self.length))
            total += work.saved + work.keeps_input * self.tokens * self.shapes.hidden_size
        for method, settings in self.layer.attention:
            place = at_attention(self.found, method, self.shapes, self.number, self.step, self.length)
            total += method.work(settings, place).saved
        return total * self.size
