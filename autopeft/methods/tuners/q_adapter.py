"""Q_ADAPTER: learned queries summarise the text in a bottleneck, and every token reads them back through a gate.

After Chen et al. 2025, arXiv 2510.10022, whose formulas were not available: this is our own reading of "learnable
query tokens and a gating layer". With z = W_down h + c (S, b) and queries Q (n, b), both attentions at 1 / sqrt(b):

    s = softmax(Q z^T) z over the text tokens (n, b),    r = softmax(z s^T) s (S, b),
    h <- h + sigmoid(w_g h + b_g) (W_up r + e).

W_up and e start at zero. The gate starts at a half: closed as well, nothing would have a gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from typing_extensions import override

from autopeft.methods.mechanisms.block import BlockLayer
from autopeft.methods.mechanisms.peft_registration import register
from autopeft.methods.mechanisms.wrapping import WrappingTuner
from autopeft.methods.tuners.bottleneck import BottleneckConfig, initial_values


@dataclass
class QAdapterConfig(BottleneckConfig):
    """target_modules: blocks; query_tokens n, each of the bottleneck's width."""

    name: ClassVar[str] = "Q_ADAPTER"
    query_tokens: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("query_tokens", self.query_tokens >= 1, "at least 1")


class QAdapterLayer(BlockLayer):
    """Wraps a block; adds what the queries gathered, times the gate, to each token."""

    adapter_layer_names = tuple(
        f"qadapter_{name}" for name in ("down", "down_bias", "up", "up_bias", "queries", "gate", "gate_bias")
    )

    @override
    def new_parameters(self, config: QAdapterConfig) -> dict[str, torch.Tensor]:
        width, b = config.hidden_size, config.bottleneck
        queries = torch.randn(config.query_tokens, b)
        values = (*initial_values(width, b), queries, torch.zeros(1, width), torch.zeros(1))
        return dict(zip(self.adapter_layer_names, values))

    @override
    def correction(
        self, adapter_name: str, before: torch.Tensor, after: torch.Tensor, text: torch.Tensor | None
    ) -> torch.Tensor:
        values = [getattr(self, name)[adapter_name] for name in self.adapter_layer_names]
        down, down_bias, up, up_bias, queries, gate, gate_bias = values
        x = self._cast_input_dtype(after, down.dtype)
        z = F.linear(x, down, down_bias)
        read = attend(z, attend(queries, z, text))
        return torch.sigmoid(F.linear(x, gate, gate_bias)) * F.linear(read, up, up_bias)


def attend(queries: torch.Tensor, z: torch.Tensor, text: torch.Tensor | None = None) -> torch.Tensor:
    """Queries (..., n, b) over z (B, m, b), which is key and value, of the tokens that are text (B, m) -> (B, n, b)."""
    scores = queries @ z.transpose(-1, -2) * z.shape[-1] ** -0.5
    if text is not None:
        scores = scores.masked_fill(~text.unsqueeze(-2), torch.finfo(scores.dtype).min)
    return scores.softmax(-1).to(z.dtype) @ z


class QAdapterModel(WrappingTuner):
    """Wraps blocks in Q-Adapters."""

    prefix = "qadapter_"
    tuner_layer_cls = QAdapterLayer


register(QAdapterConfig.name, QAdapterConfig, QAdapterModel, QAdapterModel.prefix)
