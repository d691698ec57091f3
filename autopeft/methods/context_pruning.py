"""Dynamic context pruning: every adapted layer of a decoder learns which earlier tokens it may forget."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.method import Method, Settings
from autopeft.methods.mechanisms.training import TrainingSession
from autopeft.methods.mechanisms.work import Place, Work

if TYPE_CHECKING:
    import torch
    from peft import PeftModel


SOFT = 0.5  # share of the run in which the gates are at their softest; they then harden as a cosine
HARDEST = 8.0  # alpha at the end, as in the paper


class ContextPruning(Method):
    """Trained are the gates alone; with LoRA beside it the weights learn to do without what is dropped.

    The gates harden while a run trains and are steps whenever it is scored, as the paper has them at inference. The
    paper begins with random interactions and alpha 1 and has 25,000 steps; here every token is kept at the start.
    What is dropped is masked and not removed, so nothing is faster for it yet.
    """

    name = "context_pruning"
    title = "dynamic context pruning"
    family = "prompt"
    paper = "Anagnostidis et al. 2023, arXiv 2305.15805"
    hyperparameters = {"interaction_size": (8, 16, 32, 64), "sparsity": (0.1, 0.3, 1.0)}
    defaults = {"interaction_size": 16, "sparsity": 0.3}
    learning_rate = (1e-4, 1e-2)
    packable = False
    inside_attention = True

    @override
    def refuses(self, shapes: BackboneShapes) -> str | None:
        if not shapes.is_decoder:
            return (
                f"what a token of {shapes.model_type} drops would be earlier for some tokens only: it reads both ways"
            )
        if not shapes.prefix_attention:
            return f"{shapes.model_type} computes attention in a way of its own, which gates cannot be put into"
        return None

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        each = 2 * shapes.hidden_size * settings["interaction_size"] + 1
        return {shapes.attention_paths[layer]: each for layer in layers}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "CONTEXT_PRUNING",
            "interaction_size": settings["interaction_size"],
            "hidden_size": shapes.hidden_size,
            "target_modules": [shapes.attention_paths[layer] for layer in layers],
        }

    @override
    def callback(self, session: TrainingSession, settings: Settings) -> Callback | None:
        return Hardening(session, settings)

    @override
    def extra_loss(self, model: PeftModel, settings: Settings) -> torch.Tensor | None:
        """The setting `sparsity` times the mean weight of the earlier tokens in the batch that has just been seen."""
        import torch

        from autopeft.methods.tuners.context_pruning import context_pruning_layers

        kept = [layer.kept for layer in context_pruning_layers(model) if layer.kept is not None]
        return settings["sparsity"] * torch.stack(kept).mean() if kept else None

    @override
    def work(self, settings: Settings, place: Place) -> Work:
        size = settings["interaction_size"]
        scores = 2 * place.tokens * size * (place.tokens // place.rows)
        projected = 4 * place.tokens * place.inputs * size
        pairs = place.tokens * (place.tokens // place.rows)
        return Work(projected + scores, projected + 2 * scores, projected, 2 * place.tokens * size + 10 * pairs)


class Hardening(Callback):
    """Soft gates for the steps, harder and harder; steps for whatever is scored between them."""

    def __init__(self, session: TrainingSession, settings: Settings) -> None:
        super().__init__(session, settings)
        from autopeft.methods.tuners.context_pruning import context_pruning_layers

        self.layers = context_pruning_layers(session.model)

    @override
    def before_forward(self, step: int) -> None:
        self._soften(alpha(step / self.session.steps))

    @override
    def before_update(self, step: int) -> None:
        self._soften(None)

    def _soften(self, value: float | None) -> None:
        for layer in self.layers:
            layer.alpha = value


def alpha(share: float) -> float:
    """The hardness of the gates after that share of a run."""
    from autopeft.methods.tuners.context_pruning import SOFTEST

    risen = max(0.0, (share - SOFT) / (1 - SOFT))
    return SOFTEST + (HARDEST - SOFTEST) * (1 - math.cos(math.pi * risen)) / 2
