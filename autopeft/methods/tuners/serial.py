"""SERIAL_ADAPTER: a bottleneck SA in series with the linears of a block (Houlsby) or with the whole block (Pfeiffer).

Houlsby et al. 2019, arXiv 1902.00751, fig. 2: h + SA(h) of the last linear of attention and of the FFN, before the
residual sum. Pfeiffer et al. 2020, arXiv 2005.00247, as AdapterHub builds it; f is the FFN's output, r its residual:

    N(f + r + SA(N(f + r))) where a norm N closes the block (BERT),        f + r + SA(f + r) where none does (Llama).

A parallel adapter in the same block adds its part to the outer sum, and SA does not read it (AutoPEFT, Zhou et al. 2024,
arXiv 2301.12132): N(f + r + SA(N(f + r)) + s PA(r)). Where a norm lies between the FFN and the sum (Gemma 2), the parallel
part is then outside of it, and alone inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import nn
from typing_extensions import override

from autopeft.methods.mechanisms.peft_registration import register
from autopeft.methods.mechanisms.wrapping import WrappingLayer, WrappingTuner
from autopeft.methods.tuners.bottleneck import BottleneckConfig, BottleneckLayer, hidden_states, with_hidden_states
from autopeft.methods.tuners.parallel import ParallelLayer

PLACEMENTS = ("behind", "houlsby", "pfeiffer")


@dataclass
class SerialConfig(BottleneckConfig):
    """target_modules: linears (houlsby) or whole blocks (pfeiffer).

    placement: "behind" is h + SA(h) behind whatever is wrapped. Release 0.1 trained every adapter so and saved no
    placement: its adapters run as they were trained.
    """

    name: ClassVar[str] = "SERIAL_ADAPTER"
    placement: str = "behind"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("placement", self.placement in PLACEMENTS, "behind, houlsby or pfeiffer")


class NormPass(NamedTuple):
    """One forward pass of a norm: what it read and what it returned, (..., H) each."""

    norm: nn.Module
    read: torch.Tensor
    returned: torch.Tensor


@contextmanager
def norm_passes(block: nn.Module) -> Iterator[list[NormPass]]:
    """Collect the passes of a block's norms for the length of a with block."""
    passes: list[NormPass] = []

    def note(norm: nn.Module, args: tuple, kwargs: dict, returned: torch.Tensor) -> None:
        passes.append(NormPass(norm, next(iter((*args, *kwargs.values()))), returned))

    norms = [module for module in block.modules() if "norm" in type(module).__name__.lower()]
    hooks = [norm.register_forward_hook(note, with_kwargs=True) for norm in norms]
    try:
        yield passes
    finally:
        for hook in hooks:
            hook.remove()


class PfeifferLayer(BottleneckLayer):
    """Wraps a block. The norm that closes it, if one does, is found by its output: that is what the block returns."""

    beside: tuple[ParallelLayer, ...] = ()

    @override
    def combined(self) -> None:
        self.beside = tuple(module for module in self.base_layer.modules() if isinstance(module, ParallelLayer))
        for layer in self.beside:
            layer.leaves = True

    @override
    def adapted(self, *args: Any, **kwargs: Any) -> Any:
        with norm_passes(self.get_base_layer()) as passes:
            result = self.base_layer(*args, **kwargs)
        if not self.live_adapters:
            return result
        hidden = hidden_states(result)
        correction = self.correction(hidden) + sum(layer.take_left(hidden) for layer in self.beside)
        closing = next((one for one in passes if one.returned is hidden), None)
        if closing is None:
            return with_hidden_states(result, (hidden + correction).to(hidden.dtype))
        total = (closing.read + correction).to(closing.read.dtype)
        return with_hidden_states(result, closing.norm(total))


class SerialModel(WrappingTuner):
    """Wraps linears or blocks in serial adapters."""

    prefix = "bottleneck_"

    @override
    def layer_class(self, config: SerialConfig, path: str) -> type[WrappingLayer]:
        return PfeifferLayer if config.placement == "pfeiffer" else BottleneckLayer


register(SerialConfig.name, SerialConfig, SerialModel, SerialModel.prefix)
