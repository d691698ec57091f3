"""A model with a task head -> BackboneShapes: its blocks, their linears by role, and where parameters sit."""

import inspect

from torch import nn
from transformers import PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from autopeft.backbone.roles import attention_path, block_linears, block_roles, sizes
from autopeft.backbone.shapes import BackboneShapes, Bias, Linear, Norm
from autopeft.errors import AutopeftError
from autopeft.tasks.kind import get_kind


def describe(model: PreTrainedModel, name: str, task: str = "classification") -> BackboneShapes:
    """Read the sizes off a model, on any device, meta included. Raises AutopeftError if its blocks cannot be found.

    task: the kind whose head the model has; a head that comes with the checkpoint counts as part of the backbone.
    """
    if get_kind(task).decoders_only and not _is_decoder(model.config):
        raise AutopeftError(
            f"{name} is a {model.config.model_type} encoder and {get_kind(task).title} is for decoders: choose another "
            "model, or another task (`autopeft data tasks` lists them)."
        )
    blocks_path, blocks = find_blocks(model, name)
    linears = _linears(blocks_path, blocks)
    attention = tuple(f"{blocks_path}.{i}.{attention_path(block_roles(b))}" for i, b in enumerate(blocks))
    head = head_modules(model, name) if get_kind(task).new_head else ()
    head_parameters = sum(_parameters(model.get_submodule(path)) for path in head)
    return BackboneShapes(
        name=name,
        model_type=model.config.model_type,
        hidden_size=model.config.hidden_size,
        num_layers=len(blocks),
        kv_size=_kv_size(linears),
        is_decoder=_is_decoder(model.config),
        blocks_path=blocks_path,
        attention_paths=attention,
        linears=linears,
        biases=_biases(blocks_path, blocks),
        block_parameters=tuple(_parameters(b) for b in blocks),
        backbone_parameters=_parameters(model) - head_parameters,
        head_parameters=head_parameters,
        head_modules=head,
        prefix_attention=bool(model._supports_attention_backend),
        prefix_cache=_accepts_prefix(model),
        norms=_norms(blocks_path, blocks),
        task=task,
    )


def find_blocks(model: PreTrainedModel, name: str) -> tuple[str, nn.ModuleList]:
    """The longest outermost ModuleList of the base model whose modules are of one class and hold attention."""
    found: list[tuple[str, nn.ModuleList]] = []
    for path, module in model.named_modules():
        inner = any(path.startswith(outer + ".") for outer, _ in found)
        if isinstance(module, nn.ModuleList) and not inner and len({type(x) for x in module}) == 1:
            found.append((path, module))
    found = [(path, blocks) for path, blocks in found if all(attention_path(block_roles(b)) for b in blocks)]
    if not found or model.config.is_encoder_decoder:
        raise AutopeftError(
            f"No single stack of transformer blocks was found in {name} ({type(model).__name__}): "
            "choose an encoder or a decoder whose blocks are one list."
        )
    path, blocks = max(found, key=lambda item: len(item[1]))
    if len(blocks) != model.config.num_hidden_layers:
        raise AutopeftError(
            f"{name} runs {model.config.num_hidden_layers} layers over {len(blocks)} blocks of weights: "
            "models that share weights between layers are not supported."
        )
    return path, blocks


def head_modules(model: PreTrainedModel, name: str) -> tuple[str, ...]:
    """Paths of the modules above the base model, and of the pooler where the base model holds it."""
    base = model.base_model
    if base is model:
        raise AutopeftError(f"{name} ({type(model).__name__}) has no task head: choose a model for classification.")
    prefix = model.base_model_prefix
    pooler = [f"{prefix}.pooler"] if getattr(base, "pooler", None) is not None else []
    above = [path for path, module in model.named_children() if module is not base and _parameters(module)]
    return tuple(pooler + above)


def _linears(blocks_path: str, blocks: nn.ModuleList) -> tuple[Linear, ...]:
    found = []
    for layer, block in enumerate(blocks):
        linears = block_linears(block)
        for path, role in block_roles(block).items():
            into, out = sizes(linears[path])
            bias = linears[path].bias is not None
            found.append(Linear(f"{blocks_path}.{layer}.{path}", role, layer, into, out, bias))
    return tuple(found)


def _biases(blocks_path: str, blocks: nn.ModuleList) -> tuple[Bias, ...]:
    return tuple(
        Bias(f"{blocks_path}.{layer}.{path.removesuffix('.bias')}", layer, parameter.numel())
        for layer, block in enumerate(blocks)
        for path, parameter in block.named_parameters()
        if path.endswith(".bias")
    )


def _norms(blocks_path: str, blocks: nn.ModuleList) -> tuple[Norm, ...]:
    return tuple(
        Norm(f"{blocks_path}.{layer}.{path}", layer, _parameters(module))
        for layer, block in enumerate(blocks)
        for path, module in block.named_modules()
        if "norm" in type(module).__name__.lower() and _parameters(module)
    )


def _parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _kv_size(linears: tuple[Linear, ...]) -> int:
    """Width of one block's keys; a fused projection holds the queries (what the output reads), keys and values."""
    first = {x.role: x for x in linears if x.layer == 0}
    if "key" in first:
        return first["key"].out_features
    return (first["query_key_value"].out_features - first["attention_output"].in_features) // 2


def _is_decoder(config) -> bool:
    """True for causal families; BERT and RoBERTa are in both tables and are encoders unless their config says not."""
    causal = config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    return causal and (
        config.model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES or getattr(config, "is_decoder", False)
    )


def _accepts_prefix(model: PreTrainedModel) -> bool:
    """True if the forward of the classifier takes past_key_values, by name."""
    return "past_key_values" in inspect.signature(model.forward).parameters
