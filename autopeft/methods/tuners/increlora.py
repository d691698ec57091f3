"""INCRELORA: LoRA out of rank-one components that modules may take from each other's store.

Zhang et al. 2023, arXiv 2308.12043: dW = scale * sum_j e_j b_j a_j^T with a_j (i,), b_j (o,) drawn small and e_j 0. A
component lies in one vector of i + o + 1 numbers, a slot, so it serves any module of equal i + o. Every module brings
`rank` slots: as long as nobody has assigned them otherwise, it uses its own. What is trained never changes in size.
With `advance` it brings one more: each module holds a component in reserve, which learns a and b while e is held at
HELD, so that it is of use as soon as the module grows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D
from typing_extensions import override

from autopeft.backbone.roles import sizes
from autopeft.methods.mechanisms.peft_registration import register
from autopeft.methods.mechanisms.wrapping import MergingLayer, WrappingConfig, WrappingTuner

STD = 0.02  # of a and b at the start, as in the reference code
HELD = 1e-5  # the e of a component in reserve, as in the reference code
Assignment = dict[str, list[tuple[str, int]]]  # module path -> (path of the module that brings the slot, its number)


@dataclass
class IncreLoraConfig(WrappingConfig):
    """rank: the slots that a module brings, and the mean rank in the end; assignment: the slots that it uses.

    advance: one slot more in each module; reserve: module path -> the slot that it holds in reserve.
    """

    name: ClassVar[str] = "INCRELORA"
    rank: int = 4
    alpha: float = 16.0
    assignment: dict = field(default_factory=dict)
    advance: bool = False
    reserve: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("rank", self.rank >= 1, "at least 1")

    @property
    def slots(self) -> int:
        """How many slots a module brings, that in reserve included."""
        return self.rank + self.advance


def slot_name(number: int) -> str:
    """The attribute that holds a slot."""
    return f"increlora_{number}"


class IncreLoraLayer(MergingLayer):
    """Wraps a Linear or a GPT-2 Conv1D. used, reserved: adapter name -> the (layer, slot number) of its components."""

    adapter_layer_names: tuple[str, ...] = ()  # one per slot, as many as the largest adapter of a layer has

    @override
    def update_layer(self, adapter_name: str, config: IncreLoraConfig) -> None:
        for name in map(slot_name, range(len(self.adapter_layer_names), config.slots)):
            setattr(self, name, nn.ParameterDict())
            self.adapter_layer_names = (*self.adapter_layer_names, name)
        # In a plain dictionary: as submodules the other layers would be in the state dict twice.
        self.__dict__.setdefault("used", {})[adapter_name] = [(self, number) for number in range(config.rank)]
        self.__dict__.setdefault("reserved", {})[adapter_name] = []
        super().update_layer(adapter_name, config)

    @override
    def delete_adapter(self, adapter_name: str) -> None:
        self.used.pop(adapter_name, None)
        self.reserved.pop(adapter_name, None)
        super().delete_adapter(adapter_name)

    @override
    def new_parameters(self, config: IncreLoraConfig) -> dict[str, torch.Tensor]:
        both = sum(sizes(self.get_base_layer()))
        return {
            slot_name(number): torch.cat([torch.randn(both) * STD, torch.zeros(1)]) for number in range(config.slots)
        }

    def slots(self, adapter_name: str) -> list[nn.Parameter]:
        """The vectors (i + o + 1,) of the components that count."""
        return vectors(self.used[adapter_name], adapter_name)

    def reserves(self, adapter_name: str) -> list[nn.Parameter]:
        """The vectors (i + o + 1,) of the component in reserve, if there is one."""
        return vectors(self.reserved[adapter_name], adapter_name)

    def factors(self, adapter_name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Factors a (r, i), b (r, o) and e (r, 1), the component in reserve included."""
        every = [*self.slots(adapter_name), *self.reserves(adapter_name)]
        return torch.stack(every).split([*sizes(self.get_base_layer()), 1], dim=1)

    def scaling(self, adapter_name: str) -> float:
        # By the mean rank and not, as in the paper, by the rank so far: taking a component changes no output.
        """What the update is multiplied by: alpha / mean rank."""
        return self.configs[adapter_name].alpha / self.configs[adapter_name].rank

    @override
    def adapted(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        result = self.base_layer(x, *args, **kwargs)
        total = result
        for name in self.live_adapters:
            a, b, e = self.factors(name)
            flat = self._cast_input_dtype(x, a.dtype).reshape(-1, x.shape[-1])  # 2-D: one kernel, frozen or not
            total = total + self.scaling(name) * (flat @ a.T * e.T @ b).view(result.shape)
        return total.to(result.dtype)

    @torch.no_grad()
    @override
    def get_delta(self, adapter_name: str) -> torch.Tensor:
        a, b, e = self.factors(adapter_name)
        delta = self.scaling(adapter_name) * (b.T @ (e * a))
        return delta.T if isinstance(self.get_base_layer(), Conv1D) else delta


class IncreLoraModel(WrappingTuner):
    """Wraps linears and gives each the slots that the config names."""

    prefix = "increlora_"
    tuner_layer_cls = IncreLoraLayer

    @override
    def inject_adapter(self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        super().inject_adapter(model, adapter_name, *args, **kwargs)
        config = self.peft_config[adapter_name]
        assign(model, adapter_name, config.assignment, config.reserve)


def vectors(places: list, adapter_name: str) -> list[nn.Parameter]:
    """(layer, slot number) pairs -> the trained vectors of an adapter there."""
    return [getattr(layer, slot_name(number))[adapter_name] for layer, number in places]


def increlora_layers(model: nn.Module) -> dict[str, IncreLoraLayer]:
    """Path -> layer of every adapted linear."""
    return {path: module for path, module in model.named_modules() if isinstance(module, IncreLoraLayer)}


def assign(model: nn.Module, adapter_name: str, assignment: Assignment, reserve: dict[str, tuple[str, int]]) -> None:
    """Let each module use these slots, in this order, and hold that one in reserve."""
    for path, slots in assignment.items():
        layer = model.get_submodule(path)
        layer.used[adapter_name] = [(model.get_submodule(lender), number) for lender, number in slots]
        held = [reserve[path]] if path in reserve else []
        layer.reserved[adapter_name] = [(model.get_submodule(lender), number) for lender, number in held]


def final_ranks(model: nn.Module, adapter_name: str) -> dict[str, int]:
    """Module path -> rank: what `rank_pattern` turns into a plain LoRA of the same shapes."""
    return {path: len(layer.used[adapter_name]) for path, layer in increlora_layers(model).items()}


def orthogonality(model: nn.Module) -> torch.Tensor:
    """Mean over modules and factors of ||a a^T - I||_F and ||b b^T - I||_F (not squared), as in AdaLoRA."""
    norms = []
    for layer in increlora_layers(model).values():
        for name in layer.live_adapters:
            for factor in layer.factors(name)[:2]:
                eye = torch.eye(len(factor), device=factor.device, dtype=factor.dtype)
                norms.append(torch.linalg.norm(factor @ factor.T - eye))
    return torch.stack(norms).mean() if norms else torch.zeros(())


register(IncreLoraConfig.name, IncreLoraConfig, IncreLoraModel, IncreLoraModel.prefix)
