"""PREFIX_LAYERS: trained keys and values before those of chosen attention modules. Li & Liang 2021, arXiv 2101.00190.

Attn(Q, [P_k; K], [P_v; V]): the prefix enters at transformers' attention functions, after the projections and rotary
positions, so one implementation serves every model that dispatches through them. P_k, P_v: (n, kv heads * head dim).
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from typing_extensions import override

from autopeft.base.errors import AutopeftError
from autopeft.methods.mechanisms.peft_registration import register
from autopeft.methods.mechanisms.wrapping import WrappingConfig, WrappingLayer, WrappingTuner

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig


ATTENTION = "autopeft_prefix"  # our name among transformers' attention functions
DELEGATES = ("eager", "sdpa")  # flash kernels take no mask of this shape
INITIAL_STD = 0.02
KEY_AND_VALUE = ("prefixlayers_key", "prefixlayers_value")


@dataclass
class PrefixLayersConfig(WrappingConfig):
    """target_modules: the self-attention modules that get num_virtual_tokens keys and values each."""

    name: ClassVar[str] = "PREFIX_LAYERS"
    num_virtual_tokens: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("num_virtual_tokens", self.num_virtual_tokens >= 1, "at least 1")


class PrefixLayer(WrappingLayer):
    """Wraps an attention module; while it runs, the module's config names our attention function."""

    adapter_layer_names: tuple[str, ...] = KEY_AND_VALUE

    @override
    def new_parameters(self, config: PrefixLayersConfig) -> dict[str, torch.Tensor]:
        width = key_width(self.get_base_layer().config)
        return {name: torch.randn(config.num_virtual_tokens, width) * INITIAL_STD for name in KEY_AND_VALUE}

    @override
    def adapted(self, *args: Any, **kwargs: Any) -> Any:
        if not self.live_adapters:
            return self.base_layer(*args, **kwargs)
        attention, prefix = self.get_base_layer(), self.prefix(*args, **kwargs)
        config = attention.config
        # A copy for the length of this call: other modules share the original, and nothing needs undoing on unload.
        attention.config = redirected(config, ATTENTION, prefix=prefix)
        try:
            return self.base_layer(*args, **kwargs)
        finally:
            attention.config = config

    def prefix(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of the live adapters, one after the other: (n, kv heads * head dim) each.

        What the attention module is given may have a say, and then there is one prefix for each text, (B, n, ...).
        """
        keys, values = ([getattr(self, kind)[name] for name in self.live_adapters] for kind in KEY_AND_VALUE)
        return torch.cat(keys), torch.cat(values)


class PrefixLayersModel(WrappingTuner):
    """Wraps attention modules in prefixes."""

    prefix = "prefixlayers_"
    tuner_layer_cls = PrefixLayer


def key_width(config: PreTrainedConfig) -> int:
    """The width (kv heads * head dim) of an attention module, from its config."""
    heads = config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    return (getattr(config, "num_key_value_heads", None) or heads) * head_dim


def redirected(config: PreTrainedConfig, attention: str, **told: Any) -> PreTrainedConfig:
    """A shallow copy of a config that dispatches to an attention function of ours and tells it what to do."""
    delegate = config._attn_implementation
    if delegate not in DELEGATES:
        raise AutopeftError(
            f"What acts inside the attention of single layers works with attn_implementation "
            f"{' or '.join(DELEGATES)}, not '{delegate}': load the model with one of these."
        )
    own = copy.copy(config)
    own._attn_implementation_internal = attention
    for name, value in {**told, "delegate": delegate}.items():
        setattr(own, name, value)
    return own


def prefix_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Attention over [P; K], [P; V]: key and value (B, kv heads, S, head dim) grow by n, and so does the mask."""
    prefix_key, prefix_value = module.config.prefix
    delegate = ALL_ATTENTION_FUNCTIONS.get_interface(module.config.delegate, eager_attention(module))
    attention_mask = extend_mask(attention_mask, query, key, prefix_key.shape[-2], is_causal(module, kwargs))
    return delegate(module, query, prepend(prefix_key, key), prepend(prefix_value, value), attention_mask, **kwargs)


def prepend(prefix: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """Put a prefix (n, heads * D), or one per row (B, n, heads * D), before states (B, heads, S, D), in the dtype of states."""
    batch, heads, _, size = states.shape
    prefix = prefix.to(states.dtype).view(*prefix.shape[:-1], heads, size).transpose(-3, -2)
    return torch.cat([prefix.expand(batch, -1, -1, -1), states], dim=2)


def extend_mask(
    mask: torch.Tensor | None, query: torch.Tensor, key: torch.Tensor, n: int, causal: bool
) -> torch.Tensor | None:
    """Let every query see the prefix.

    A missing mask stays missing unless the attention function would make it causal: its triangle would start at the
    prefix, so it is written out (additive, (1, 1, S, K)).
    """
    if mask is None and causal and query.shape[2] > 1:
        queries, keys = query.shape[2], key.shape[2]
        hidden = torch.ones(queries, keys, dtype=torch.bool, device=query.device).triu(keys - queries + 1)
        mask = torch.zeros(1, 1, queries, keys, dtype=query.dtype, device=query.device)
        mask = mask.masked_fill(hidden, torch.finfo(query.dtype).min)
    return None if mask is None else F.pad(mask, (n, 0), value=True if mask.dtype == torch.bool else 0.0)


def is_causal(module: nn.Module, kwargs: dict) -> bool:
    """What sdpa would decide for a missing mask."""
    stated = kwargs.get("is_causal")
    return getattr(module, "is_causal", True) if stated is None else stated


def eager_attention(module: nn.Module) -> Callable[..., tuple]:
    """The eager attention function of the module's own modelling file, which transformers keeps out of its table."""
    return sys.modules[type(module).__module__].eager_attention_forward


ALL_ATTENTION_FUNCTIONS.register(ATTENTION, prefix_attention)
register(PrefixLayersConfig.name, PrefixLayersConfig, PrefixLayersModel, PrefixLayersModel.prefix)
