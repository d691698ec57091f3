"""The linear maps of one transformer block -> the role each plays. Reads names first, then sizes."""

from torch import nn
from transformers.pytorch_utils import Conv1D

NAMES = {
    "query": {"query", "query_proj", "q_proj", "q_lin", "q", "wq"},
    "key": {"key", "key_proj", "k_proj", "k_lin", "k", "wk"},
    "value": {"value", "value_proj", "v_proj", "v_lin", "v", "wv"},
    "query_key_value": {"query_key_value", "wqkv", "qkv", "qkv_proj", "c_attn", "in_proj"},
}


def sizes(linear: nn.Module) -> tuple[int, int]:
    """(in_features, out_features); Conv1D stores its weight as (in, out), the transpose of nn.Linear."""
    first, second = linear.weight.shape
    return (first, second) if isinstance(linear, Conv1D) else (second, first)


def block_linears(block: nn.Module) -> dict[str, nn.Module]:
    """Every linear map of a block by its path inside it."""
    return {path: m for path, m in block.named_modules() if isinstance(m, (nn.Linear, Conv1D))}


def block_roles(block: nn.Module) -> dict[str, str]:
    """Path inside the block -> role. A linear that plays none of the roles is left out."""
    linears = block_linears(block)
    roles = {path: role for path in linears if (role := _named_role(path))}
    containers = _attention_containers(linears, roles)
    if not containers:
        return {}
    inside = tuple(f"{container}." for container in containers)
    for path in linears:
        if path not in roles and path.startswith(inside):
            roles[path] = "attention_output"
    outside = {path: m for path, m in linears.items() if not path.startswith(inside)}
    return _one_attention_output(linears, roles) | _ffn_roles(outside)


def attention_path(roles: dict[str, str]) -> str | None:
    """The module that owns the query projection: the one whose forward calls the attention function."""
    owners = query_owners(roles)
    return owners[0] if owners else None


def query_owners(roles: dict[str, str]) -> list[str]:
    """The modules that own a query projection: the block's self-attention first."""
    return [path.rpartition(".")[0] for path, role in roles.items() if role in ("query", "query_key_value")]


def _named_role(path: str) -> str | None:
    leaf = path.rpartition(".")[2].lower()
    return next((role for role, names in NAMES.items() if leaf in names), None)


def _attention_containers(linears: dict, roles: dict[str, str]) -> list[str]:
    """The smallest modules that hold the projections into attention and the one out of it.

    One for a block with self-attention only, a second for its attention to an encoder.
    """
    found = []
    for owner in query_owners(roles):
        while owner and all(path in roles for path in linears if path.startswith(owner + ".")):
            owner = owner.rpartition(".")[0]
        found += [owner] if owner and owner not in found else []
    return found


def _one_attention_output(linears: dict, roles: dict[str, str]) -> dict[str, str]:
    """Keep as attention_output only a linear fed by the heads: its input is as wide as the query's output."""
    width = {role: sizes(linears[path])[1] for path, role in roles.items()}
    fused = width.get("query_key_value", 0)
    return {
        path: role
        for path, role in roles.items()
        if role != "attention_output"
        or sizes(linears[path])[0] == width.get("query", sizes(linears[path])[0])
        and (not fused or sizes(linears[path])[0] < fused)
    }


def _ffn_roles(linears: dict[str, nn.Module]) -> dict[str, str]:
    """The last linear back to the block's width is ffn_out; those that feed it are ffn_in or, by name, ffn_gate.

    A gate and an input fused into one linear, twice as wide as what ffn_out reads, is ffn_in. Routers and other
    linears of another width play no role.
    """
    if not linears:
        return {}
    wide, narrow = _ffn_widths(linears)
    roles = {}
    for path, linear in linears.items():
        into, out = sizes(linear)
        leaf = path.rpartition(".")[2].lower()
        if (into, out) == (wide, narrow) and (wide != narrow or path == list(linears)[-1]):
            roles[path] = "ffn_out"
        elif into == narrow and out in (wide, 2 * wide):
            roles[path] = "ffn_gate" if "gate" in leaf and out == wide else "ffn_in"
    return roles


def _ffn_widths(linears: dict[str, nn.Module]) -> tuple[int, int]:
    """(inner width, block width) of the feed-forward net, read off the linear with the widest input."""
    return max((sizes(m) for m in linears.values()), key=lambda s: s[0])
