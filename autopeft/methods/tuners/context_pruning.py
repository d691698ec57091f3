"""CONTEXT_PRUNING: what a decoder's attention may still see of earlier tokens, learnt token by token.

Anagnostidis et al. 2023, arXiv 2305.15805: token j lets itself and all later ones see an earlier token k with the gate
g_jk = sigmoid_alpha(W_q h_j . W_k h_k / sqrt(d) + b); query n sees k with the weight prod_{k < j <= n} g_jk, whose
logarithm is added to its attention scores. A gate of 0 drops k for good. W_q, W_k: (d, H), b: (1,).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from typing_extensions import override

from autopeft.base.errors import AutopeftError
from autopeft.methods.mechanisms.block import text_tokens
from autopeft.methods.mechanisms.peft_registration import register
from autopeft.methods.mechanisms.wrapping import WrappingConfig, WrappingLayer, WrappingTuner
from autopeft.methods.tuners.prefix import eager_attention, extend_mask, is_causal, redirected

ATTENTION = "autopeft_context_pruning"  # our name among transformers' attention functions
OFFSET = 2.0  # of every gate at the start, as in the authors' code
SOFTEST = 1.4  # alpha at which a gate of that score is 0.98; at the authors' 1 it is 0.88, which hides long texts
BISECTIONS = 16
LEAST, GONE = 1e-4, -1e4  # gates below LEAST get no gradient; the logarithm of a gate of 0


@dataclass
class ContextPruningConfig(WrappingConfig):
    """target_modules: the self-attention modules of a decoder of that hidden_size; interaction_size d."""

    name: ClassVar[str] = "CONTEXT_PRUNING"
    interaction_size: int = 16
    hidden_size: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("interaction_size", self.interaction_size >= 1, "at least 1")
        self.require("hidden_size", self.hidden_size >= 1, "the width of the backbone")


class ContextPruningLayer(WrappingLayer):
    """Wraps an attention module. Shapes: B texts, S tokens."""

    adapter_layer_names = ("pruning_query", "pruning_key", "pruning_offset")
    alpha: float | None = None  # of the gates; None: they are steps, and get the gradient of the softest
    kept: torch.Tensor | None = None  # mean weight of the earlier tokens in the last pass

    @override
    def new_parameters(self, config: ContextPruningConfig) -> dict[str, torch.Tensor]:
        """W_k starts at zero, so that every score is the offset and every token is kept."""
        query = torch.empty(config.interaction_size, config.hidden_size)
        nn.init.normal_(query, std=config.hidden_size**-0.5)
        values = query, torch.zeros_like(query), torch.full((1,), OFFSET)
        return dict(zip(self.adapter_layer_names, values))

    @override
    def adapted(self, *args: Any, **kwargs: Any) -> Any:
        if not self.live_adapters:
            return self.base_layer(*args, **kwargs)
        hidden = args[0] if args else kwargs["hidden_states"]
        seen = sum(visibility(gates(self.scores(name, hidden), self.alpha)) for name in self.live_adapters)
        self.kept = mean_weight(seen, text_tokens(args[1:], kwargs, hidden.shape[1]))
        if not torch.is_grad_enabled() and not seen.any():  # nothing is dropped: exactly the attention as it was
            return self.base_layer(*args, **kwargs)
        attention = self.get_base_layer()
        config = attention.config
        attention.config = redirected(config, ATTENTION, visibility=seen)  # other modules share the original
        try:
            return self.base_layer(*args, **kwargs)
        finally:
            attention.config = config

    def scores(self, adapter_name: str, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden states (B, S, H) -> scores (B, S, S) of the gates, fp32: row j, column k."""
        query, key, offset = (getattr(self, name)[adapter_name] for name in self.adapter_layer_names)
        hidden = self._cast_input_dtype(hidden, query.dtype)
        product = F.linear(hidden, query) @ F.linear(hidden, key).transpose(1, 2)
        return product.float() * len(query) ** -0.5 + offset


class ContextPruningModel(WrappingTuner):
    """Wraps attention modules in gates over earlier tokens."""

    prefix = "pruning_"
    tuner_layer_cls = ContextPruningLayer


def gates(scores: torch.Tensor, alpha: float | None) -> torch.Tensor:
    """Scores -> gates between 0 and 1; without an alpha steps at 0 with the slopes of the softest gates."""
    if alpha is not None:
        return sparse_sigmoid(scores, alpha)
    steps = (scores > 0).float()
    if not scores.requires_grad:
        return steps
    soft = sparse_sigmoid(scores, SOFTEST)
    return steps + (soft - soft.detach())


def sparse_sigmoid(scores: torch.Tensor, alpha: float) -> torch.Tensor:
    """The binary alpha-entmax, alpha > 1: p with p^(alpha-1) - (1-p)^(alpha-1) = (alpha-1) score, else 0 or 1.

    Peters et al. 2019, arXiv 1905.05702. Found by bisection; the slope 1 / (p^(alpha-2) + (1-p)^(alpha-2)) is exact.
    """
    with torch.no_grad():
        low, high = torch.zeros_like(scores), torch.ones_like(scores)
        for _ in range(BISECTIONS):
            p = (low + high) / 2
            above = p.pow(alpha - 1) - (1 - p).pow(alpha - 1) > (alpha - 1) * scores
            low, high = torch.where(above, low, p), torch.where(above, p, high)
        p, inside = (low + high) / 2, scores.abs() < 1 / (alpha - 1)
        slope = torch.where(inside, 1 / (p.pow(alpha - 2) + (1 - p).pow(alpha - 2)), 0.0)
        p = torch.where(inside, p, (scores > 0).float())
    return p + slope * (scores - scores.detach())


def visibility(gates: torch.Tensor) -> torch.Tensor:
    """Gates (B, S, S) of token j on k -> logarithm (B, S, S) of the weight with which query n sees k; 0 for k >= n."""
    logs = torch.where(gates > 0, gates.clamp(min=LEAST).log(), GONE)
    return logs.tril(-1).cumsum(1)


def mean_weight(seen: torch.Tensor, text: torch.Tensor | None) -> torch.Tensor:
    """The mean weight of earlier tokens (B, S, S) over the pairs of text tokens (B, S)."""
    pairs = torch.ones_like(seen).tril(-1)
    if text is not None:
        pairs = pairs * text[:, :, None] * text[:, None]
    return (seen.exp() * pairs).sum() / pairs.sum().clamp(min=1)


def pruned_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The module's own attention with the visibility (B, S, S) added to its mask."""
    seen = module.config.visibility
    if key.shape[2] != seen.shape[2]:
        raise AutopeftError(
            "Context pruning decides over whole texts and was given keys from a cache: run the model with "
            "use_cache=False."
        )
    mask = extend_mask(attention_mask, query, key, 0, is_causal(module, kwargs))  # the triangle written out
    if mask is not None and mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill(~mask, torch.finfo(query.dtype).min)
    seen = seen[:, None].to(query.dtype)
    delegate = ALL_ATTENTION_FUNCTIONS.get_interface(module.config.delegate, eager_attention(module))
    return delegate(module, query, key, value, seen if mask is None else mask + seen, **kwargs)


def context_pruning_layers(model: nn.Module) -> list[ContextPruningLayer]:
    """The adapted attention modules, from the lowest up."""
    return [module for module in model.modules() if isinstance(module, ContextPruningLayer)]


ALL_ATTENTION_FUNCTIONS.register(ATTENTION, pruned_attention)
register(ContextPruningConfig.name, ContextPruningConfig, ContextPruningModel, ContextPruningModel.prefix)
