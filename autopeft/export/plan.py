"""Configuration + a model's config -> the parameters that autopeft trains. Imports torch when it runs."""

from types import SimpleNamespace

from autopeft.configuration import Configuration
from autopeft.methods import Method, get_method

# Segments of peft's names that say how a parameter is held, not what it is.
HOLDERS = {"default", "modules_to_save", "ln_tuning_layers"}
NAMES = {"bitfit_bias": "bias"}  # ours is a correction of the bias, of its size and in its place


def plan(configuration: Configuration, config, kind: str = "classification") -> dict[str, tuple[int, ...]]:
    """Name -> shape of every trainable parameter, named as in the model without adapters around it.

    config: the model's transformers config. Built as a search builds it, with random weights: on the meta device
    unless a method reads the weights. kind: of task; only a classifier's head is trained. A LoRA's factors are
    "model.layers.0.self_attn.q_proj.lora_A.weight". Raises AutopeftError for methods that read the task's data.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    from autopeft.backbone.blocks import describe
    from autopeft.methods.attach import attached, trainable_parameters

    reads = any(reads_weights(get_method(name)) for name in configuration.methods)
    with torch.device("cpu" if reads else "meta"), torch.random.fork_rng(devices=[]):
        model = AutoModelForSequenceClassification.from_config(config)
    shapes = describe(model.requires_grad_(False), config.model_type)
    backbone = SimpleNamespace(model=model, shapes=shapes, new_parameters=())
    with attached(configuration, backbone, seed=0) as built:
        found = {canonical(name): tuple(p.shape) for name, p in trainable_parameters(built)}
    head = tuple(f"{path}." for path in shapes.head_modules)
    return {n: s for n, s in found.items() if kind == "classification" or not n.startswith(head)}


def canonical(name: str) -> str:
    """A trainable parameter's name in any peft model -> its name in the model beneath."""
    parts = name.removeprefix("base_model.").removeprefix("model.") if name.startswith("base_model.") else name
    return ".".join(NAMES.get(part, part) for part in parts.split(".") if part not in HOLDERS)


def reads_weights(method: Method) -> bool:
    """Whether a method looks at the numbers of the weights when it is attached."""
    acts = ("before_attach", "after_attach")
    return method.rewrites_base or any(getattr(type(method), a) is not getattr(Method, a) for a in acts)
