"""What every tuner that wraps modules shares: the config's selection fields, the layer, the model.

A tuner states its parameters (`new_parameters`) and its forward (`adapted`); peft does saving, loading and
modules_to_save. Adapter weights are fp32 whatever the base is; outputs keep the base's dtype. Only tuners import this
file, after the registration.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from peft.config import PeftConfig
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer, check_adapters_to_merge
from peft.utils.constants import DUMMY_TARGET_MODULES
from peft.utils.other import ModulesToSaveWrapper
from torch import nn
from typing_extensions import override

from autopeft.base.errors import AutopeftError


@dataclass
class WrappingConfig(PeftConfig):
    """Which modules are wrapped: full paths or suffixes (a list) or a regular expression, as everywhere in peft."""

    name: ClassVar[str]
    target_modules: list[str] | str | None = field(default_factory=list)
    exclude_modules: list[str] | str | None = None
    layers_to_transform: list[int] | int | None = None
    layers_pattern: list[str] | str | None = None
    modules_to_save: list[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = self.name

    def require(self, setting: str, ok: bool, wanted: str) -> None:
        """Refuse a setting that is wrong.

        Args:
            setting: its name.
            ok: whether it holds what it must.
            wanted: what it must hold, for the message.

        Raises:
            AutopeftError: it does not.
        """
        if not ok:
            raise AutopeftError(f"{self.name} config: {setting} is {getattr(self, setting)!r}, it must be {wanted}.")


class WrappingLayer(nn.Module, BaseTunerLayer):
    """A module with adapters around it; everything it does not define itself is the wrapped module's.

    adapter_layer_names lists the ParameterDicts (adapter name -> parameter), all starting with the tuner's prefix.
    """

    adapter_layer_names: tuple[str, ...] = ()

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: WrappingConfig) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.configs: dict[str, WrappingConfig] = {}
        self.merged_adapters: list[str] = []
        self._disable_adapters = False
        self._active_adapter = adapter_name
        for name in self.adapter_layer_names:
            setattr(self, name, nn.ParameterDict())
        self.update_layer(adapter_name, config)

    def __getattr__(self, name: str) -> Any:
        # A model reads attributes of its blocks (attention_type, layer_idx ...): they are those of the wrapped module.
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base_layer":
                raise
            return getattr(super().__getattr__("base_layer"), name)

    def new_parameters(self, config: WrappingConfig) -> dict[str, torch.Tensor]:
        """The initial fp32 value of each entry of adapter_layer_names."""
        raise NotImplementedError

    def update_layer(self, adapter_name: str, config: WrappingConfig) -> None:
        """Give the layer a (further) adapter, on the device of the wrapped module."""
        self.configs[adapter_name] = config
        device = next((p.device for p in self.get_base_layer().parameters()), torch.device("cpu"))
        for name, value in self.new_parameters(config).items():
            on_meta = value.is_meta  # low_cpu_mem_usage: peft brings it to the device when it loads the weights
            getattr(self, name)[adapter_name] = nn.Parameter(value if on_meta else value.to(device))
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    @property
    def live_adapters(self) -> list[str]:
        """The active adapters that this layer holds."""
        return [name for name in self.active_adapters if name in self.configs]

    @override
    def delete_adapter(self, adapter_name: str) -> None:
        self.configs.pop(adapter_name, None)
        super().delete_adapter(adapter_name)

    @override
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self.disable_adapters and self.merged:
            self.unmerge()
        if self.disable_adapters or self.merged:
            return self.base_layer(*args, **kwargs)
        return self.adapted(*args, **kwargs)

    def adapted(self, *args: Any, **kwargs: Any) -> Any:
        """The wrapped module's output with the live adapters applied."""
        raise NotImplementedError

    def combined(self) -> None:
        """Take note of the other parts of a combination, which are all in place."""


class MergingLayer(WrappingLayer):
    """A layer whose adapter is a constant added to one parameter of the wrapped module (`merges_into`)."""

    merges_into = "weight"

    def get_delta(self, adapter_name: str) -> torch.Tensor:
        """What the adapter adds to the parameter, fp32, in the parameter's own layout."""
        raise NotImplementedError

    @override
    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Add the live adapters to the parameter. Raises ValueError (safe_merge) if that is not finite."""
        parameter = getattr(self.get_base_layer(), self.merges_into)
        for name in check_adapters_to_merge(self, adapter_names):
            if name not in self.configs:
                continue
            merged = (parameter.data + self.get_delta(name)).to(parameter.dtype)
            if safe_merge and not torch.isfinite(merged).all():
                raise ValueError(f"The merged weights are not finite: adapter {name} seems to be broken.")
            parameter.data = merged
            self.merged_adapters.append(name)

    @override
    def unmerge(self) -> None:
        parameter = getattr(self.get_base_layer(), self.merges_into)
        while self.merged_adapters:
            delta = self.get_delta(self.merged_adapters.pop())
            parameter.data = (parameter.data - delta).to(parameter.dtype)


class WrappingTuner(BaseTuner):
    """Replaces each target module by a `tuner_layer_cls` around it."""

    tuner_layer_cls = WrappingLayer
    target_module_mapping: ClassVar[dict[str, list[str]]] = {}

    @override
    def _prepare_adapter_config(self, peft_config: WrappingConfig, model_config: dict) -> WrappingConfig:
        if peft_config.target_modules:
            return peft_config
        # peft takes an empty list for a mistake; ours train modules_to_save alone (the caller's config stays as it is).
        peft_config = copy.copy(peft_config)
        peft_config.target_modules = DUMMY_TARGET_MODULES
        return peft_config

    def layer_class(self, config: WrappingConfig, path: str) -> type[WrappingLayer]:
        """The layer that wraps the module at this path."""
        return self.tuner_layer_cls

    @override
    def _create_and_replace(
        self,
        peft_config: Any,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        **_: Any,
    ) -> None:
        layer_class = self.layer_class(peft_config, current_key)
        if type(target) is layer_class:  # a layer of another tuner, a subclass even, is wrapped in its turn
            target.update_layer(adapter_name, peft_config)
            return
        layer = layer_class(target, adapter_name, peft_config)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)  # a further adapter waits until it is activated
        self._replace_module(parent, target_name, layer, target)

    @override
    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        # peft's own also copies `weight` from child to new_module, and blocks have none.
        while isinstance(parent, WrappingLayer) and child_name not in parent._modules:
            parent = parent.base_layer  # a wrapped block only delegates to the module that owns the child
        setattr(parent, child_name, new_module)

    @override
    def _check_merge_allowed(self) -> None:
        # Before anything is merged, so that a refusal leaves the model as it is.
        super()._check_merge_allowed()
        for layer in self.model.modules():
            if isinstance(layer, BaseTunerLayer) and type(layer).merge is BaseTunerLayer.merge:
                kind = type(layer).__name__
                raise AutopeftError(f"{kind} cannot be merged into the weights of a backbone: keep it as an adapter.")

    @override
    def _unload_and_optionally_merge(self, merge: bool = True, *args: Any, **kwargs: Any) -> nn.Module:
        # peft leaves the trained modules_to_save in the model even when it does not merge: ours is then the original.
        if merge:
            return super()._unload_and_optionally_merge(merge, *args, **kwargs)
        restore_originals(self.model)
        return self.take_off()

    def take_off(self) -> nn.Module:
        """Remove every wrapper without merging: again until none is left, for peft takes only the outermost of a nest."""
        while True:
            BaseTuner._unload_and_optionally_merge(self, merge=False, progressbar=False)
            if not any(isinstance(module, BaseTunerLayer) for module in self.model.modules()):
                return self.model


def restore_originals(model: nn.Module) -> None:
    """Put the original of every module_to_save back in its place."""
    for path, module in list(model.named_modules()):
        if isinstance(module, ModulesToSaveWrapper):
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, module.original_module)
