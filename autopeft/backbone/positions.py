"""A model's config -> how many tokens of a row it has positions for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autopeft.backbone.resolve import resolve

AFTER_PADDING = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "esm")
RELATIVE = ("t5", "mt5", "umt5", "longt5", "bloom", "mamba", "xlnet")  # positions without an end


def positions_of(config: Mapping[str, Any]) -> int | None:
    """How many tokens a row may have.

    Args:
        config: the fields of a config.json.

    Returns:
        The number; None where positions have no end, or the config does not say.
    """
    kind, most = config.get("model_type"), config.get("max_position_embeddings") or config.get("n_positions")
    if not isinstance(most, int) or kind in RELATIVE:
        return None
    if config.get("relative_attention") and not config.get("position_biased_input", True):
        return None
    if kind in AFTER_PADDING:  # positions are counted from behind the padding's number
        return most - (config.get("pad_token_id") or 0) - 1
    return most


def positions_in(name: str) -> int | None:
    """The positions of a model by its name, read from its folder; None where there is no folder or it does not say."""
    path = Path(resolve(name)) / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return positions_of(config) if isinstance(config, dict) else None
