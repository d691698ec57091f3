"""A model with a task head -> BackboneShapes: its blocks, their linears by role, and where parameters sit."""

import inspect
from typing import Any

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)
from transformers.pytorch_utils import Conv1D

from autopeft.backbone.roles import attention_path, block_linears, block_roles, sizes
from autopeft.backbone.shapes import BackboneShapes, Bias, Linear, Norm
from autopeft.base.errors import AutopeftError
from autopeft.tasks.kind import TaskKind, get_kind

PARALLEL = ("gptj", "phi", "cohere", "falcon")  # besides those whose config says so


def describe(model: PreTrainedModel, name: str, kind: TaskKind | None = None) -> BackboneShapes:
    """Read the sizes off a model.

    Args:
        model: on any device, meta included.
        name: of the model, as the user gave it.
        kind: of the task whose head the model has (None: text classification). A head that comes with the checkpoint
            counts as part of the backbone.

    Raises:
        AutopeftError: its blocks cannot be found, or it is none for this kind of task.
    """
    kind = kind or get_kind()
    if kind.decoders_only and not _is_decoder(model.config):
        raise AutopeftError(
            f"{name} is a {model.config.model_type} encoder and {kind.title} is for decoders: choose another "
            "model, or another task (`autopeft data tasks` lists them)."
        )
    stacks = find_stacks(model, name) if kind.two_stacks else [find_blocks(model, name)]
    blocks = [(f"{path}.{i}", block) for path, stack in stacks for i, block in enumerate(stack)]
    linears = _linears(blocks)
    attention = tuple(f"{path}.{attention_path(block_roles(b))}" for path, b in blocks)
    head = head_modules(model, name) if kind.new_head else ()
    head_parameters = sum(_parameters(model.get_submodule(path)) for path in head)
    return BackboneShapes(
        name=name,
        model_type=model.config.model_type,
        hidden_size=model.config.hidden_size,
        num_layers=len(blocks),
        kv_size=_kv_size(linears),
        is_decoder=len(stacks) == 1 and _is_decoder(model.config),
        blocks_path=stacks[0][0],
        attention_paths=attention,
        linears=linears,
        biases=_biases(blocks),
        block_parameters=tuple(_parameters(b) for _, b in blocks),
        backbone_parameters=_parameters(model) - head_parameters,
        head_parameters=head_parameters,
        head_modules=head,
        prefix_attention=bool(model._supports_attention_backend),
        prefix_cache=_accepts_prefix(model),
        norms=_norms(blocks),
        kind=kind,
        decoder_path=stacks[1][0] if len(stacks) == 2 else None,
        encoder_layers=len(stacks[0][1]) if len(stacks) == 2 else 0,
        dropout=_dropout(model.config),
        **_for_costs(model, stacks, len(blocks)),
    )


def _for_costs(model: PreTrainedModel, stacks: list[tuple[str, nn.ModuleList]], num_layers: int) -> dict[str, Any]:
    """The fields of BackboneShapes that only costs are counted from."""
    config = model.config
    names = [type(module).__name__ for module in stacks[0][1].modules()]
    return {
        "num_heads": getattr(config, "num_attention_heads", None) or 0,
        "vocab_size": getattr(config, "vocab_size", None) or 0,
        "outer_linears": _outer_linears(model, [path for path, _ in stacks], num_layers),
        "activation": _activation(config),
        "rms_norm": any("RMSNorm" in name or name == "T5LayerNorm" for name in names),
        "parallel_blocks": config.model_type in PARALLEL or bool(getattr(config, "use_parallel_residual", False)),
        "relative_positions": _relative_positions(config),
    }


def _dropout(config: Any) -> tuple[str, ...]:
    """The names of the probabilities with which training would drop something: dropout, attn_pdrop, layerdrop ..."""
    values = config.to_dict()
    return tuple(
        sorted(name for name, value in values.items() if "drop" in name and isinstance(value, float) and value)
    )


def _outer_linears(model: PreTrainedModel, stacks: list[str], num_layers: int) -> tuple[Linear, ...]:
    """The linears and convolutions beside the blocks: below them (layer -1) or above (num_layers), as they are listed."""
    found, layer = [], -1
    for path, module in model.named_modules():
        if path.startswith(stacks[-1] + "."):
            layer = num_layers
        if any(path.startswith(f"{stack}.") for stack in stacks):
            continue
        if isinstance(module, (nn.Linear, Conv1D)):
            into, out = sizes(module)
        elif isinstance(module, (nn.Conv1d, nn.Conv2d)):
            into, out = module.weight[0].numel(), module.out_channels
        else:
            continue
        found.append(
            Linear(path, "head" if layer == num_layers else "embedding", layer, into, out, module.bias is not None)
        )
    return tuple(found)


def _activation(config: Any) -> str:
    """The name of the feed-forward net's activation, under whichever name the config has it."""
    names = (
        "hidden_act",
        "activation_function",
        "hidden_activation",
        "dense_act_fn",
        "activation",
        "feed_forward_proj",
    )
    return next((value for name in names if isinstance(value := getattr(config, name, None), str)), "gelu")


def _relative_positions(config: Any) -> int:
    """How many position vectors DeBERTa's attentions project beside the words."""
    if not getattr(config, "relative_attention", False):
        return 0
    buckets = getattr(config, "position_buckets", -1)
    longest = getattr(config, "max_relative_positions", -1)
    longest = longest if longest > 0 else config.max_position_embeddings
    return 2 * (buckets if buckets > 0 else longest)


def find_blocks(model: PreTrainedModel, name: str) -> tuple[str, nn.ModuleList]:
    """The longest outermost ModuleList of the base model whose modules are of one class and hold attention."""
    found = _lists_of_blocks(model)
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


def find_stacks(model: PreTrainedModel, name: str) -> list[tuple[str, nn.ModuleList]]:
    """The blocks of the encoder, then those of the decoder. Raises AutopeftError for a model without either."""
    found = _lists_of_blocks(model)
    stacks = [pair for part in ("encoder", "decoder") for pair in found if part in pair[0].split(".")]
    if len(stacks) != 2 or not model.config.is_encoder_decoder:
        raise AutopeftError(
            f"No encoder and decoder with one list of blocks each were found in {name} ({type(model).__name__}): choose "
            "a model such as T5 or BART."
        )
    return stacks


def _lists_of_blocks(model: PreTrainedModel) -> list[tuple[str, nn.ModuleList]]:
    """The outermost ModuleLists whose modules are of one class and all hold attention."""
    found: list[tuple[str, nn.ModuleList]] = []
    for path, module in model.named_modules():
        inner = any(path.startswith(outer + ".") for outer, _ in found)
        if isinstance(module, nn.ModuleList) and not inner and len({type(x) for x in module}) == 1:
            found.append((path, module))
    return [(path, blocks) for path, blocks in found if all(attention_path(block_roles(b)) for b in blocks)]


def head_modules(model: PreTrainedModel, name: str) -> tuple[str, ...]:
    """Paths of the modules above the base model, and of the pooler where the base model holds it."""
    base = model.base_model
    if base is model:
        raise AutopeftError(f"{name} ({type(model).__name__}) has no task head: choose a model for classification.")
    prefix = model.base_model_prefix
    pooler = [f"{prefix}.pooler"] if getattr(base, "pooler", None) is not None else []
    above = [path for path, module in model.named_children() if module is not base and _parameters(module)]
    return tuple(pooler + above)


Blocks = list[tuple[str, nn.Module]]  # path and block of every layer


def _linears(blocks: Blocks) -> tuple[Linear, ...]:
    found = []
    for layer, (place, block) in enumerate(blocks):
        linears = block_linears(block)
        for path, role in block_roles(block).items():
            into, out = sizes(linears[path])
            bias = linears[path].bias is not None
            found.append(Linear(f"{place}.{path}", role, layer, into, out, bias))
    return tuple(found)


def _biases(blocks: Blocks) -> tuple[Bias, ...]:
    return tuple(
        Bias(f"{place}.{path.removesuffix('.bias')}", layer, parameter.numel())
        for layer, (place, block) in enumerate(blocks)
        for path, parameter in block.named_parameters()
        if path.endswith(".bias")
    )


def _norms(blocks: Blocks) -> tuple[Norm, ...]:
    return tuple(
        Norm(f"{place}.{path}", layer, _parameters(module))
        for layer, (place, block) in enumerate(blocks)
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


def _is_decoder(config: PreTrainedConfig) -> bool:
    """True for causal families; BERT and RoBERTa are in both tables and are encoders unless their config says not."""
    causal = config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    return causal and (
        config.model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES or getattr(config, "is_decoder", False)
    )


def _accepts_prefix(model: PreTrainedModel) -> bool:
    """True if the forward of the classifier takes past_key_values, by name."""
    return "past_key_values" in inspect.signature(model.forward).parameters
