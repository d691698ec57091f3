"""Backbone + tokenised task -> LayerScores. Each scorer's file registers itself."""

import importlib
import pkgutil

from autopeft.importance.registry import REGISTRY, get_scorer
from autopeft.importance.scores import LayerScores
from autopeft.importance.table import trace_json, trace_rows

__all__ = ["REGISTRY", "LayerScores", "get_scorer", "score_layers", "trace_json", "trace_rows"]


def score_layers(scorer: str, backbone, tokenised, *, rows: int = 512, seed: int = 0, **options) -> LayerScores:
    """Score every block on a stratified sample of the training split.

    options: of the scorer alone; the trace takes gain ("raw", "log", "scaling"), min_trained, max_trained, basis
    ("class-means", "final-means", "head", "lm-head"), pool ("model", "mean") and final_norm.
    Raises AutopeftError on an unknown scorer or option value.
    """
    return get_scorer(scorer)(backbone, tokenised, rows=rows, seed=seed, **options)


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
