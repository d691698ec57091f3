"""Configuration + resident Backbone -> a peft model around it, and back to the very same backbone."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch
from peft import PeftConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

import autopeft.methods.tuners  # noqa: F401  (registers our tuners with peft)
from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.methods import get_method, peft_fields
from autopeft.methods.mechanisms.random_state import seeded

if TYPE_CHECKING:
    from autopeft.backbone.loading import Backbone
    from autopeft.methods.mechanisms.statistics import Statistics


ADAPTER = "default"
HEAD_STD = 0.02  # where the model's config states no initializer_range


class Resident:
    """The modules of a model as they are now, to put back after anything was hung on, wrapped or replaced.

    Holds every module's attributes (children, parameters, hooks, flags), and with values=True also a copy of every
    parameter's numbers, for methods that rewrite frozen weights.
    """

    def __init__(self, model: nn.Module, values: bool = False) -> None:
        self.model = model
        self.values = [(p, p.data, p.data.clone()) for p in model.parameters()] if values else []
        self.attributes = [
            (
                module,
                {
                    name: (value, dict(value) if isinstance(value, dict) else None)
                    for name, value in vars(module).items()
                },
            )
            for module in model.modules()
        ]

    def restore(self) -> None:
        """Give every module its attributes back and freeze every parameter."""
        for module, attributes in self.attributes:
            vars(module).clear()
            for name, (value, entries) in attributes.items():
                if entries is not None:  # in place: the handle of a hook removes it from this very dictionary
                    value.clear()
                    value.update(entries)
                vars(module)[name] = value
        for parameter, tensor, value in self.values:
            parameter.data = tensor.copy_(value)
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None


def attach(
    configuration: Configuration, backbone: Backbone, seed: int, statistics: Statistics | None = None
) -> PeftModel:
    """Build a configuration's adapters and head on the resident model, in place.

    What is trained is fp32 whatever the backbone's dtype is; everything is in evaluation mode. A failure leaves no
    trace.

    Args:
        configuration: what is attached.
        backbone: of its fields `model`, `shapes` and `new_parameters` are used, the last being the head parameters
            that its checkpoint lacks.
        seed: decides the values of the adapters and of those head parameters.
        statistics: the task's gradients and activations, for the methods that ask for them.

    Returns:
        The peft model around the resident one; `detach` takes it off again.

    Raises:
        AutopeftError: a method needs statistics and there are none.
    """
    fields = peft_fields(configuration, backbone.shapes)
    parts = [(get_method(name), configuration.settings_of(name)) for name in configuration.methods]
    for method, _ in parts:
        if method.needs_statistics and statistics is None:
            raise AutopeftError(f"{method.name} is initialised from the task's data, and attach was given none.")
    resident = Resident(backbone.model, values=any(method.rewrites_base for method, _ in parts))
    with ExitStack() as undo, seeded(backbone.model, seed), warnings.catch_warnings():
        undo.callback(resident.restore)
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)  # peft asks
        warnings.filterwarnings("ignore", message="Model has `tie_word_embeddings=True`")  # Full ties the copies itself
        warnings.filterwarnings("ignore", message="Unsupported layer type .*Norm")  # LN tuning copies a norm as it is
        warnings.filterwarnings("ignore", message="Detected that the base layer has no bias")  # BEFT gives it one
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False")  # peft then sets it as it should
        config = PeftConfig.from_peft_type(**fields)
        for method, settings in parts:
            method.before_attach(backbone.model, config, settings, configuration.layers, statistics)
        model = get_peft_model(backbone.model, config, adapter_name=ADAPTER).eval()
        for method, settings in parts:
            method.after_attach(model, settings, configuration.layers, statistics, seed)
        if "target_modules" in fields:
            # peft shortens long lists to suffixes; the saved config shall name the modules and nothing else.
            model.peft_config[ADAPTER].target_modules = set(fields["target_modules"])
        for _, parameter in trainable_parameters(model):
            parameter.data = parameter.data.float()
        if next(p for p in backbone.model.parameters() if not p.requires_grad).dtype == torch.bfloat16:
            leave_casts_to_autocast(model)
        reset_head(model, backbone.shapes.head_modules, backbone.new_parameters, seed)
        undo.pop_all()
    model.resident = resident
    return model


def leave_casts_to_autocast(model: PeftModel) -> None:
    """A bf16 backbone runs under autocast: peft's own cast of every activation to fp32 would be undone at once."""
    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            module.cast_input_dtype_enabled = False


def detach(model: PeftModel) -> nn.Module:
    """Take everything off again: the backbone with its own modules and head, all of it frozen."""
    model.resident.restore()
    return model.resident.model


@contextmanager
def attached(
    configuration: Configuration, backbone: Backbone, seed: int, statistics: Statistics | None = None
) -> Iterator[PeftModel]:
    """Attach a configuration for the length of a with block; the backbone is restored however the block ends.

    Args:
        configuration: what is attached.
        backbone: the resident model.
        seed: of whatever the adapters and the head draw.
        statistics: what methods read off the task's data, if they read any.
    """
    model = attach(configuration, backbone, seed, statistics)
    try:
        yield model
    finally:
        detach(model)


@torch.no_grad()
def reset_head(model: PeftModel, head_modules: Iterable[str], new_parameters: Iterable[str], seed: int) -> None:
    """Draw the head parameters that no checkpoint held, so that one seed gives every method the same head.

    Matrices from N(0, initializer_range^2), biases 0, the gains of norms 1.

    Args:
        model: the attached model.
        head_modules: paths of the task head.
        new_parameters: names of the parameters that the checkpoint lacked.
        seed: of the draw.
    """
    base, new = model.get_base_model(), set(new_parameters)
    std = getattr(base.config, "initializer_range", None) or HEAD_STD
    generator = torch.Generator().manual_seed(seed)
    for path in head_modules:
        for name, parameter in base.get_submodule(path).modules_to_save[ADAPTER].named_parameters():
            if f"{path}.{name}" not in new:
                continue
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)
            else:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)


def trainable_parameters(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Names and tensors that an optimiser gets: the method's and the head's."""
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]


def is_head(name: str, head_modules: Iterable[str]) -> bool:
    """Whether a trainable parameter belongs to peft's copy of the task head."""
    return any(f".{path}.modules_to_save." in f".{name}" for path in head_modules)


def count_built(model: nn.Module, head_modules: Iterable[str]) -> int:
    """Trainable numbers of the built method, the copies of the head left out."""
    return sum(parameter.numel() for name, parameter in trainable_parameters(model) if not is_head(name, head_modules))
