"""VQT: trained queries beside the text's in every attention; what they read goes to the head, the text's states stay.

Tu et al. 2022, arXiv 2212.03220: z_l = softmax(P_l K_l^T / sqrt(D)) V_l over the text tokens, K and V detached, so no
gradient passes the backbone. Two forms of our own: P_l (T, heads * D) stands behind the frozen query projection, and
the mean of all z_l enters every token of the last block's output through a map M (H, heads * D) that starts at zero,
so whatever the head pools, it pools h + M z, and its own parameters are those of every other method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from typing_extensions import override

from autopeft.methods.mechanisms.block import BlockLayer, text_tokens
from autopeft.methods.mechanisms.peft_registration import register
from autopeft.methods.mechanisms.wrapping import WrappingConfig, WrappingLayer, WrappingTuner
from autopeft.methods.tuners.prefix import eager_attention, key_width, redirected

if TYPE_CHECKING:
    from torch import nn


ATTENTION = "autopeft_vqt"  # our name among transformers' attention functions


@dataclass
class VqtConfig(WrappingConfig):
    """target_modules: self-attention modules and last_block; owner: the attention module that holds the map."""

    name: ClassVar[str] = "VQT"
    query_tokens: int = 1
    hidden_size: int = 0
    last_block: str = ""
    owner: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("query_tokens", self.query_tokens >= 1, "at least 1")
        self.require("hidden_size", self.hidden_size >= 1, "the width of the backbone")


class VqtLayer(WrappingLayer):
    """Wraps an attention module; while it runs, the module's config names our attention function."""

    adapter_layer_names: tuple[str, ...] = ("vqt_queries",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.__dict__["read"] = {}  # adapter -> what its queries read in this pass (B, heads * D)
        super().__init__(*args, **kwargs)

    @override
    def new_parameters(self, config: VqtConfig) -> dict[str, torch.Tensor]:
        return {"vqt_queries": torch.randn(config.query_tokens, key_width(self.get_base_layer().config))}

    @override
    def adapted(self, *args: Any, **kwargs: Any) -> Any:
        attention = self.get_base_layer()
        config = attention.config
        attention.config = redirected(config, ATTENTION, observe=self.observe)  # other modules share the original
        try:
            return self.base_layer(*args, **kwargs)
        finally:
            attention.config = config

    def observe(self, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None) -> None:
        """Keys and values (B, heads, S, D) -> the mean of what each live adapter's queries read."""
        text = text_tokens((mask,), {}, key.shape[2])
        for name in self.live_adapters:
            queries = self.vqt_queries[name]
            heads = queries.view(len(queries), key.shape[1], -1).transpose(0, 1)  # (heads, T, D)
            self.read[name] = read(heads, key.detach(), value.detach(), text).mean(2).flatten(1)


def read(queries: torch.Tensor, key: torch.Tensor, value: torch.Tensor, text: torch.Tensor | None) -> torch.Tensor:
    """Queries (heads, T, D) over keys and values (B, heads, S, D) of text tokens (B, S) -> (B, heads, T, D)."""
    scores = queries @ key.to(queries.dtype).transpose(-1, -2) * key.shape[-1] ** -0.5
    if text is not None:
        scores = scores.masked_fill(~text[:, None, None], torch.finfo(scores.dtype).min)
    return scores.softmax(-1) @ value.to(queries.dtype)


class VqtMapLayer(VqtLayer):
    """The attention module that also holds the map."""

    adapter_layer_names = ("vqt_queries", "vqt_map")

    @override
    def new_parameters(self, config: VqtConfig) -> dict[str, torch.Tensor]:
        values = super().new_parameters(config)
        return {**values, "vqt_map": torch.zeros(config.hidden_size, values["vqt_queries"].shape[1])}


class VqtEnd(BlockLayer):
    """Wraps the last block: adds the map of the mean over all layers' queries to its output."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.__dict__["readers"] = {}  # adapter -> its wrapped attention modules, the one with the map last
        super().__init__(*args, **kwargs)

    @override
    def new_parameters(self, config: VqtConfig) -> dict[str, torch.Tensor]:
        return {}

    @override
    def correction(
        self, adapter_name: str, before: torch.Tensor, after: torch.Tensor, text: torch.Tensor | None
    ) -> torch.Tensor:
        readers = self.readers[adapter_name]
        mean = torch.stack([reader.read.pop(adapter_name) for reader in readers]).mean(0)
        return F.linear(mean, readers[-1].vqt_map[adapter_name]).unsqueeze(1)


class VqtModel(WrappingTuner):
    """Wraps attention modules, and the last block, where the queries' answers come in."""

    prefix = "vqt_"

    @override
    def layer_class(self, config: VqtConfig, path: str) -> type[WrappingLayer]:
        return VqtEnd if path == config.last_block else VqtMapLayer if path == config.owner else VqtLayer

    @override
    def inject_adapter(self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        super().inject_adapter(model, adapter_name, *args, **kwargs)
        layers = [m for m in model.modules() if isinstance(m, VqtLayer) and adapter_name in m.configs]
        end = model.get_submodule(self.peft_config[adapter_name].last_block)
        end.readers[adapter_name] = sorted(layers, key=lambda layer: isinstance(layer, VqtMapLayer))


def query_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The module's own attention, its keys and values shown to the queries first."""
    module.config.observe(key, value, attention_mask)
    delegate = ALL_ATTENTION_FUNCTIONS.get_interface(module.config.delegate, eager_attention(module))
    return delegate(module, query, key, value, attention_mask, **kwargs)


ALL_ATTENTION_FUNCTIONS.register(ATTENTION, query_attention)
register(VqtConfig.name, VqtConfig, VqtModel, VqtModel.prefix)
