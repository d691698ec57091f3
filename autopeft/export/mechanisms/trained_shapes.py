"""Configuration + a model's config -> the parameters that autopeft trains."""

from typing import TYPE_CHECKING

from autopeft.configuration import Configuration
from autopeft.tasks.kind import TaskKind, get_kind

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

# Segments of peft's names that say how a parameter is held, not what it is.
HOLDERS = {"default", "modules_to_save", "ln_tuning_layers"}
NAMES = {"bitfit_bias": "bias"}  # ours is a correction of the bias, of its size and in its place


def trained_shapes(
    configuration: Configuration, config: "PreTrainedConfig", kind: TaskKind | None = None
) -> dict[str, tuple[int, ...]]:
    """Name every trainable parameter, as in the model without adapters around it, with its shape.

    One of a LoRA's factors is "model.layers.0.self_attn.q_proj.lora_A.weight". The model is built as a search builds
    it, on the meta device, or with random weights where the method reads them.

    Args:
        configuration: what is trained.
        config: the model's transformers config.
        kind: of the task (None: text classification), whose head is trained if it is a new one.

    Raises:
        AutopeftError: the method reads the task's data.
    """
    kind = kind or get_kind()
    try:
        return built_on("meta", configuration, config, kind)
    except RuntimeError:  # it decomposes, clusters or sorts the weights
        return built_on("cpu", configuration, config, kind)


def built_on(
    device: str, configuration: Configuration, config: "PreTrainedConfig", kind: TaskKind
) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the trainable parameters."""
    import torch
    import transformers

    from autopeft.backbone.blocks import describe
    from autopeft.backbone.loading import Backbone
    from autopeft.methods.mechanisms.attach import attached, trainable_parameters

    with torch.device(device), torch.random.fork_rng(devices=[]):
        model = getattr(transformers, kind.auto_model).from_config(config).requires_grad_(False)
    shapes = describe(model, config.model_type, kind)
    backbone = Backbone(config.model_type, model, None, shapes, ())
    with torch.device(device), attached(configuration, backbone, seed=0) as built:
        return {canonical(name): tuple(p.shape) for name, p in trainable_parameters(built)}


def canonical(name: str) -> str:
    """A trainable parameter's name in any peft model -> its name in the model beneath."""
    parts = name.removeprefix("base_model.").removeprefix("model.") if name.startswith("base_model.") else name
    return ".".join(NAMES.get(part, part) for part in parts.split(".") if part not in HOLDERS)
