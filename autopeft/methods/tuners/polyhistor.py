"""POLYHISTOR: all layers share one small template, and each scales it up to its bottleneck by a Kronecker product.

Liu et al. 2022, arXiv 2210.03265 (Polyhistor-Lite's layer-wise scaling kernels, for one task): behind a block
h <- h + W_up relu(W_down h) with W_down = (K_l kron T)[:b, :H], W_up = (K'_l kron T')[:H, :b]. Shapes:
K_l, K'_l (k, k); T (ceil(b/k), ceil(H/k)), T' (ceil(H/k), ceil(b/k)). The K'_l start at zero, so the start is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from typing_extensions import override

from autopeft.methods.mechanisms.block import BlockLayer
from autopeft.methods.mechanisms.peft_registration import register
from autopeft.methods.mechanisms.wrapping import WrappingTuner
from autopeft.methods.tuners.bottleneck import BottleneckConfig

if TYPE_CHECKING:
    from torch import nn


KERNELS = ("polyhistor_kernel_down", "polyhistor_kernel_up")
TEMPLATES = ("polyhistor_template_down", "polyhistor_template_up")


@dataclass
class PolyhistorConfig(BottleneckConfig):
    """target_modules: blocks; owner: the one among them that holds the templates; kernel_size k."""

    name: ClassVar[str] = "POLYHISTOR"
    kernel_size: int = 4
    owner: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("kernel_size", self.kernel_size >= 1, "at least 1")


class PolyhistorLayer(BlockLayer):
    """Wraps a block; reads the templates of the layer that owns them."""

    adapter_layer_names: tuple[str, ...] = KERNELS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.__dict__["owner"] = {}  # adapter -> layer, not a child: its templates would be saved once per layer
        super().__init__(*args, **kwargs)

    @override
    def new_parameters(self, config: PolyhistorConfig) -> dict[str, torch.Tensor]:
        k = config.kernel_size
        return dict(zip(KERNELS, (torch.randn(k, k), torch.zeros(k, k))))

    @override
    def correction(
        self, adapter_name: str, before: torch.Tensor, after: torch.Tensor, text: torch.Tensor | None
    ) -> torch.Tensor:
        owner, config = self.owner[adapter_name], self.configs[adapter_name]
        (kernel, kernel_up), (template, template_up) = (
            [getattr(layer, name)[adapter_name] for name in names]
            for layer, names in ((self, KERNELS), (owner, TEMPLATES))
        )
        b, width = config.bottleneck, config.hidden_size
        down, up = torch.kron(kernel, template)[:b, :width], torch.kron(kernel_up, template_up)[:width, :b]
        return F.linear(F.relu(F.linear(self._cast_input_dtype(after, down.dtype), down)), up)


class TemplateLayer(PolyhistorLayer):
    """The layer that also owns the templates."""

    adapter_layer_names = KERNELS + TEMPLATES

    @override
    def new_parameters(self, config: PolyhistorConfig) -> dict[str, torch.Tensor]:
        b, width = (-(-size // config.kernel_size) for size in (config.bottleneck, config.hidden_size))
        # W_down starts as large as a bottleneck's own would be; W_up = 0 whatever T' is, and moves as fast as K' does.
        down = torch.randn(b, width) * (3 * config.hidden_size) ** -0.5
        return super().new_parameters(config) | dict(zip(TEMPLATES, (down, torch.randn(width, b))))


class PolyhistorModel(WrappingTuner):
    """Wraps blocks and tells each layer which one owns the templates."""

    prefix = "polyhistor_"

    @override
    def layer_class(self, config: PolyhistorConfig, path: str) -> type[PolyhistorLayer]:
        return TemplateLayer if path == config.owner else PolyhistorLayer

    @override
    def inject_adapter(self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        super().inject_adapter(model, adapter_name, *args, **kwargs)
        owner = model.get_submodule(self.peft_config[adapter_name].owner)
        for layer in model.modules():
            if isinstance(layer, PolyhistorLayer) and adapter_name in layer.configs:
                layer.owner[adapter_name] = owner


register(PolyhistorConfig.name, PolyhistorConfig, PolyhistorModel, PolyhistorModel.prefix)
