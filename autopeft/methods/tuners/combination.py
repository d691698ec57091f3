"""COMBINATION: several tuners on one model, saved and loaded as one adapter (the published AutoPEFT space needs it)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import set_additional_trainable_modules
from torch import nn
from typing_extensions import override

from autopeft.base.errors import AutopeftError
from autopeft.methods.mechanisms.peft_registration import register
from autopeft.methods.mechanisms.wrapping import WrappingConfig, WrappingLayer, WrappingTuner, restore_originals

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig


@dataclass
class CombinationConfig(WrappingConfig):
    """parts: the fields of each part's config, peft_type included; modules_to_save belongs to the whole."""

    name: ClassVar[str] = "COMBINATION"
    parts: list[dict] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        types = [part.get("peft_type") for part in self.parts]
        self.require("parts", len(set(types)) == len(types) > 1, "two or more configs of different peft types")


class CombinationModel(WrappingTuner):
    """Holds the layers of several tuners, of whichever kind they are."""

    prefix = "combination_"
    tuner_layer_cls = BaseTunerLayer  # whichever tuner a layer is of, activating and freezing are this adapter's

    @override
    def inject_adapter(
        self,
        model: nn.Module,
        adapter_name: str,
        autocast_adapter_dtype: bool = True,
        low_cpu_mem_usage: bool = False,
        state_dict: dict[str, torch.Tensor] | None = None,
    ) -> None:
        """Inject part after part. The innermost modules come first: a wrapped block hides the paths inside it."""
        if tuner_layers(model):
            raise AutopeftError(
                f"The model holds adapters already and a COMBINATION stands alone: unload them before "
                f"adding '{adapter_name}'."
            )
        config = self.peft_config[adapter_name]
        outer = vars(model).pop("peft_config", None)  # a part's tuner would write its own config into it
        for part in sorted(config.parts, key=depth, reverse=True):
            inject_adapter_in_model(part_config(part, config.inference_mode), model, adapter_name, low_cpu_mem_usage)
            del model.peft_config
        for layer in tuner_layers(model):
            if isinstance(layer, WrappingLayer):
                layer.combined()
        if outer is not None:
            model.peft_config = outer
        set_additional_trainable_modules(
            model,
            config,
            self.get_model_config(model),
            adapter_name,
            activate_adapter=adapter_name in self.active_adapters,
        )

    @override
    def _unload_and_optionally_merge(
        self,
        merge: bool = True,
        progressbar: bool = False,
        safe_merge: bool = False,
        adapter_names: list[str] | None = None,
    ) -> nn.Module:
        """Merge every layer of a nest, then take the wrappers off."""
        if merge:
            self._check_merge_allowed()
            for layer in tuner_layers(self.model):
                layer.merge(safe_merge=safe_merge, adapter_names=adapter_names)
        else:
            restore_originals(self.model)
        return self.take_off()


def tuner_layers(model: nn.Module) -> list[BaseTunerLayer]:
    """Every layer of any tuner in a model."""
    return [module for module in model.modules() if isinstance(module, BaseTunerLayer)]


def depth(part: dict) -> int:
    """How deep the innermost module lies that a part wraps: parts that wrap blocks or attention are uniform."""
    targets = part.get("target_modules") or ()
    return max((path.count(".") for path in targets), default=0) if not isinstance(targets, str) else 0


def part_config(part: dict[str, Any], inference_mode: bool) -> PeftConfig:
    """A part's fields -> its peft config. Raises AutopeftError for a type that peft does not know."""
    if part.get("peft_type") not in PEFT_TYPE_TO_CONFIG_MAPPING:
        raise AutopeftError(f"COMBINATION config: a part has the unknown peft_type {part.get('peft_type')!r}.")
    fields = {key: value for key, value in part.items() if key != "peft_type"}
    return PEFT_TYPE_TO_CONFIG_MAPPING[part["peft_type"]](inference_mode=inference_mode, **fields)


register(CombinationConfig.name, CombinationConfig, CombinationModel, CombinationModel.prefix)
