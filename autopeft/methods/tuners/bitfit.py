"""BitFit: a trainable fp32 correction, zero at the start, of every bias. Ben Zaken et al. 2021, arXiv 2106.10199."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from typing_extensions import override

from autopeft.base.errors import AutopeftError
from autopeft.methods.mechanisms.peft_registration import register
from autopeft.methods.mechanisms.wrapping import MergingLayer, WrappingConfig, WrappingTuner


@dataclass
class BitFitConfig(WrappingConfig):
    """target_modules: the linears and norms whose biases are trained."""

    name: ClassVar[str] = "BITFIT"


class BitFitLayer(MergingLayer):
    """Wraps a module whose output is linear in its bias: Linear, Conv1D, LayerNorm."""

    adapter_layer_names = ("bitfit_bias",)
    merges_into = "bias"

    @override
    def new_parameters(self, config: BitFitConfig) -> dict[str, torch.Tensor]:
        base = self.get_base_layer()
        if getattr(base, "bias", None) is None:
            raise AutopeftError(
                f"BitFit trains biases, and a target {type(base).__name__} has none: "
                "name modules with a bias in target_modules."
            )
        return {"bitfit_bias": torch.zeros(base.bias.shape)}

    @override
    def adapted(self, *args: Any, **kwargs: Any) -> Any:
        result = self.base_layer(*args, **kwargs)
        total = result
        for name in self.live_adapters:
            total = total + self.bitfit_bias[name]
        return total.to(result.dtype)

    @override
    def get_delta(self, adapter_name: str) -> torch.Tensor:
        return self.bitfit_bias[adapter_name].data


class BitFitModel(WrappingTuner):
    """Wraps modules in BitFit layers."""

    prefix = "bitfit_"
    tuner_layer_cls = BitFitLayer


register(BitFitConfig.name, BitFitConfig, BitFitModel, BitFitModel.prefix)
