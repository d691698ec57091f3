"""Backbone + tokenised task -> LayerScores. Each scorer's file registers itself."""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from autopeft.importance.registry import REGISTRY, get_scorer
from autopeft.importance.scores import LayerScores
from autopeft.importance.table import trace_json, trace_rows
from autopeft.tasks.tokens import TokenisedTask

if TYPE_CHECKING:
    from autopeft.backbone.loading import Backbone

__all__ = ["REGISTRY", "LayerScores", "get_scorer", "score_layers", "trace_json", "trace_rows"]


def score_layers(
    scorer: str, backbone: "Backbone", tokenised: TokenisedTask, *, rows: int = 512, seed: int = 0, **options: Any
) -> LayerScores:
    """Score every block on a stratified sample of the training split.

    Args:
        scorer: a registered name, such as "trace".
        backbone: the resident model.
        tokenised: the task.
        rows: about how many training rows are looked at.
        seed: of their choice.
        options: of the scorer alone; for the trace those of `semantic_trace`.

    Raises:
        AutopeftError: there is no such scorer or option, or the task is none for it.
    """
    return get_scorer(scorer)(backbone, tokenised, rows=rows, seed=seed, **options)


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
