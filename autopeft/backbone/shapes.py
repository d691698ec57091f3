"""What a backbone looks like, without its weights: blocks, linears by role, sizes."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from pydantic import ConfigDict

from autopeft.base.checked import checked
from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.tasks.kind import DEFAULT, TaskKind, get_kind

ROLES = ("query", "key", "value", "query_key_value", "attention_output", "ffn_gate", "ffn_in", "ffn_out")
GROUPS = {
    "attention": ("query", "key", "value", "attention_output"),
    "ffn": ("ffn_gate", "ffn_in", "ffn_out"),
    "all-linear": ("query", "key", "value", "attention_output", "ffn_gate", "ffn_in", "ffn_out"),
}
FUSED = {"query": "query_key_value", "key": "query_key_value", "value": "query_key_value"}


@dataclass(frozen=True)
class Linear:
    """One linear map of a block: y = x W^T + b with W of shape (out_features, in_features)."""

    path: str  # full dotted module path in the model with its head
    role: str  # one of ROLES
    layer: int  # block index, 0 is nearest the embeddings
    in_features: int
    out_features: int
    bias: bool


@dataclass(frozen=True)
class Bias:
    """One bias vector of a block, of a linear or a norm."""

    path: str  # path of the module that owns it
    layer: int
    size: int


@dataclass(frozen=True)
class Norm:
    """A norm of a block, with the number of its parameters."""

    path: str
    layer: int
    size: int


@dataclass(frozen=True)
class BackboneShapes:
    """The sizes that counting, sampling and exporting need."""

    __pydantic_config__: ClassVar = ConfigDict(arbitrary_types_allowed=True)

    name: str  # as the user gave it
    model_type: str  # transformers' config.model_type
    hidden_size: int  # H
    num_layers: int  # L
    kv_size: int  # num_key_value_heads * head_dim
    is_decoder: bool
    blocks_path: str  # path of the ModuleList of blocks, e.g. "bert.encoder.layer"
    attention_paths: tuple[str, ...]  # the self-attention module of each block (the one attention functions get)
    linears: tuple[Linear, ...]
    biases: tuple[Bias, ...]
    block_parameters: tuple[int, ...]  # parameters of each block
    backbone_parameters: int  # everything but the task head
    head_parameters: int  # classifier, and the pooler where the architecture has one
    head_modules: tuple[str, ...]  # module paths trained in full by every method and baseline
    prefix_attention: bool = False  # the model dispatches through transformers' attention functions
    prefix_cache: bool = False  # the model accepts past_key_values (peft's prefix tuning works)
    norms: tuple[Norm, ...] = ()
    kind: TaskKind = field(default_factory=get_kind)  # of the task its head is for
    decoder_path: str | None = None  # of an encoder-decoder: its layers are blocks_path's, then these
    encoder_layers: int = 0  # of an encoder-decoder: how many of its layers are blocks_path's
    # What costs are counted from; sizes stored by release 0.1 lack these and read as the defaults.
    num_heads: int = 0  # query heads of an attention; 0: not known
    vocab_size: int = 0
    outer_linears: tuple[Linear, ...] = ()  # beside the blocks: layer -1 is below them, num_layers above
    activation: str = "gelu"  # of the feed-forward net, by transformers' name
    rms_norm: bool = False  # the norms of the blocks divide by the root mean square alone
    parallel_blocks: bool = False  # attention and feed-forward net read the same input
    relative_positions: int = 0  # position vectors that every attention projects as well (DeBERTa)
    dropout: tuple[str, ...] | None = None  # the config's probabilities of dropout above 0; None: not recorded

    @cached_property
    def blocks(self) -> tuple[tuple[Linear, ...], ...]:
        """The linears of each layer."""
        found: list[list[Linear]] = [[] for _ in range(self.num_layers)]
        for linear in self.linears:
            found[linear.layer].append(linear)
        return tuple(map(tuple, found))

    @property
    def stacks(self) -> str | list[str]:
        """The path of the blocks, of an encoder-decoder the paths of both stacks of them."""
        return [self.blocks_path, self.decoder_path] if self.decoder_path else self.blocks_path

    def block(self, layer: int) -> str:
        """The path of a layer's block."""
        if self.decoder_path and layer >= self.encoder_layers:
            return f"{self.decoder_path}.{layer - self.encoder_layers}"
        return f"{self.blocks_path}.{layer}"

    def layer_of(self, name: str) -> int | None:
        """The layer that the path of a module or parameter lies in, whatever peft has put before it."""
        for path, first in ((self.blocks_path, 0), (self.decoder_path, self.encoder_layers)):
            if path and (hit := re.search(rf"(?:^|\.){re.escape(path)}\.(\d+)(?:\.|$)", name)):
                return first + int(hit[1])
        return None

    def select(self, target_modules: str, layers: tuple[int, ...] | None = None) -> tuple[Linear, ...]:
        """The linears with the roles that target_modules names, in the given layers.

        Args:
            target_modules: roles and groups, joined by "+": "query+value", "attention", "ffn_in+ffn_out", "all-linear".
                A fused query_key_value linear is selected by any of its three.
            layers: block indices; None takes all.

        Raises:
            AutopeftError: nothing matches.
        """
        roles = set(expand_roles(target_modules))
        roles |= {FUSED[r] for r in roles if r in FUSED}
        wanted = None if layers is None else set(layers)
        chosen = tuple(x for x in self.linears if x.role in roles and (wanted is None or x.layer in wanted))
        if not chosen and (wanted is None or wanted):
            have = sorted({x.role for x in self.linears})
            raise AutopeftError(
                f"target_modules '{target_modules}' matches no linear of {self.name}: it has {', '.join(have)}."
            )
        return chosen

    @cached_property
    def roles(self) -> tuple[str, ...]:
        """The roles this backbone has, in the order of ROLES."""
        have = {x.role for x in self.linears}
        return tuple(r for r in ROLES if r in have)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads; the kind by its name, as "task"."""
        fields = asdict(self)
        return {("task" if name == "kind" else name): value for name, value in fields.items()} | {
            "task": self.kind.name
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "BackboneShapes":
        """What `to_json` wrote. Releases before 0.2 are read too; the oldest studies name no kind and are of classification.

        Raises:
            ValueError: it is something else.
        """
        kind = get_kind(data.get("task", DEFAULT))
        made = checked(cls, {**{k: v for k, v in data.items() if k != "task"}, "kind": kind})
        sizes = (made.hidden_size, made.num_layers, made.backbone_parameters)
        if min(sizes) < 1 or any(not -1 <= x.layer <= made.num_layers for x in (*made.linears, *made.outer_linears)):
            raise ValueError("no backbone has these sizes")
        if not all(name.isidentifier() for name in made.dropout or ()):  # written into scripts
            raise ValueError("no config has these names")
        return made


def expand_roles(target_modules: str) -> tuple[str, ...]:
    """Turn "query+value" or a group name into roles, in the order of ROLES. Raises AutopeftError on an unknown name."""
    roles: set[str] = set()
    for name in target_modules.split("+"):
        name = name.strip()
        if name not in GROUPS and name not in ROLES:
            raise AutopeftError(f"Unknown target module '{name}'." + did_you_mean(name, [*GROUPS, *ROLES]))
        roles.update(GROUPS.get(name, (name,)))
    return tuple(r for r in ROLES if r in roles)


def canonical_roles(target_modules: str) -> str:
    """One spelling per set of roles: a group's name where the set is a group, else roles joined by "+" in order."""
    roles = expand_roles(target_modules)
    for name, members in GROUPS.items():
        if roles == members:
            return name
    return "+".join(roles)
