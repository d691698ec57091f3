"""ASIDE: bottlenecks alongside the layers, joined into one trained path that no frozen block interrupts.

Idea of Ma et al. 2022, arXiv 2208.09847 (Inside And Aside); the definitions below are our own reading of it, its
parallel form. With F_l the frozen block and l' the chosen layer below l, a being 0 below the lowest:

    a_l = a_l' + U_l relu(D_l (h_{l-1} + a_l') + c_l) + e_l,        h_l = F_l(h_{l-1}) + a_l,

and with `inside` also a bottleneck of F_l(h_{l-1}) itself. D (b, H), U (H, b); U and e start at zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from typing_extensions import override

from autopeft.methods.mechanisms.block import BlockLayer
from autopeft.methods.mechanisms.peft_registration import register
from autopeft.methods.mechanisms.wrapping import WrappingTuner
from autopeft.methods.tuners.bottleneck import BottleneckConfig, initial_values

if TYPE_CHECKING:
    from torch import nn


ASIDE = ("aside_down", "aside_down_bias", "aside_up", "aside_up_bias")
INSIDE = ("aside_inside_down", "aside_inside_down_bias", "aside_inside_up", "aside_inside_up_bias")


@dataclass
class AsideConfig(BottleneckConfig):
    """chain: the paths of the wrapped blocks from the lowest up; target_modules holds the same, in any order."""

    name: ClassVar[str] = "ASIDE"
    inside: bool = True
    chain: list[str] = field(default_factory=list)


class AsideLayer(BlockLayer):
    """Wraps a block; hands its a_l to the next wrapped block above."""

    adapter_layer_names = ASIDE + INSIDE

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.__dict__["above"] = {}  # adapter -> the next layer of its chain, not a child: it would be saved twice
        self.__dict__["handed"] = {}  # adapter -> what the layer below handed up in this pass
        super().__init__(*args, **kwargs)

    @override
    def new_parameters(self, config: AsideConfig) -> dict[str, torch.Tensor]:
        values = dict(zip(ASIDE, initial_values(config.hidden_size, config.bottleneck)))
        if config.inside:
            values |= zip(INSIDE, initial_values(config.hidden_size, config.bottleneck))
        return values

    def bottleneck(self, names: tuple[str, ...], adapter_name: str, x: torch.Tensor) -> torch.Tensor:
        """A bottleneck of these parameters: x (..., H) -> (..., H), fp32."""
        down, down_bias, up, up_bias = (getattr(self, name)[adapter_name] for name in names)
        return F.linear(F.relu(F.linear(self._cast_input_dtype(x, down.dtype), down, down_bias)), up, up_bias)

    @override
    def correction(
        self, adapter_name: str, before: torch.Tensor, after: torch.Tensor, text: torch.Tensor | None
    ) -> torch.Tensor:
        below = self.handed.pop(adapter_name, None)
        aside = self.bottleneck(ASIDE, adapter_name, before if below is None else before + below)
        aside = aside if below is None else below + aside
        if adapter_name in self.above:
            self.above[adapter_name].handed[adapter_name] = aside
        if not self.configs[adapter_name].inside:
            return aside
        return aside + self.bottleneck(INSIDE, adapter_name, after)


class AsideModel(WrappingTuner):
    """Connects the adapted blocks from the lowest up, as the config's chain names them."""

    prefix = "aside_"
    tuner_layer_cls = AsideLayer

    @override
    def inject_adapter(self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        super().inject_adapter(model, adapter_name, *args, **kwargs)
        chain = [model.get_submodule(path) for path in self.peft_config[adapter_name].chain]
        for below, above in zip(chain, chain[1:]):
            below.above[adapter_name] = above


register(AsideConfig.name, AsideConfig, AsideModel, AsideModel.prefix)
