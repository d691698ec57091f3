"""PACE: noise multiplies what the adapters add, and the outputs under two draws of it are pulled together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.training import TrainingSession
from autopeft.procedures.mechanisms.additions import changed_additions, not_additive
from autopeft.procedures.mechanisms.draws import torch_generator
from autopeft.procedures.mechanisms.procedure import Procedure, only_classes

if TYPE_CHECKING:
    import torch


LAZY = 4  # steps between two that compare


class Pace(Procedure):
    """loss = CE(f1) + weight * |f1 - f2|^2, f1 and f2 the logits under two draws of z ~ N(1, sigma^2).

    z: one value per row and channel of every adapter's addition; sigma falls linearly from the lowest block to the
    highest. variant: "exact" runs each batch twice, in one pass; "lazy" does so at every fourth step, with half of
    the batch; "fast" takes for f2 the row's logits of the epoch before (nothing in the first).
    """

    name = "pace"
    title = "PACE"
    paper = "Ni et al. 2024, arXiv 2409.17137"
    hyperparameters = {"variant": ("exact", "lazy", "fast"), "sigma": (0.5, 1.0, 1.5), "weight": (0.1, 1.0)}
    defaults = {"variant": "exact", "sigma": 1.0, "weight": 1.0}
    repeatable = False
    in_parts = False

    @override
    def refuses(self, methods: tuple[str, ...], shapes: BackboneShapes) -> str | None:
        return only_classes(shapes) or not_additive(methods, shapes)

    @override
    def callback(self, session: TrainingSession, settings: Settings) -> Callback | None:
        return LastLogits(session, settings) if settings["variant"] == "fast" else None

    @override
    def gradients(self, session: TrainingSession, rows: np.ndarray, settings: Settings) -> torch.Tensor:
        from torch.nn.functional import cross_entropy

        step, variant = session.step, settings["variant"]
        if variant == "lazy" and step % LAZY == 0:
            rows = rows[::2]  # batches are sorted by length: the first half would be the short rows
        twice = variant == "exact" or (variant == "lazy" and step % LAZY == 0)
        with changed_additions(session.model, session.shapes, noise(session, step, settings)):
            logits, labels = session.logits("train", np.concatenate([rows, rows]) if twice else rows)
        first, labels = logits[0][: len(rows)], labels[: len(rows)]
        loss = cross_entropy(first, labels) + sum(session.own_losses())
        if twice:
            loss = loss + settings["weight"] * (first - logits[0][len(rows) :]).square().sum(1).mean()
        if variant == "fast":
            before = next(part for part in session.callbacks if isinstance(part, LastLogits)).swap(rows, first)
            known = ~before.isnan().any(1)
            if known.any():
                loss = loss + settings["weight"] * (first - before)[known].square().sum(1).mean()
        losses = loss[None]
        losses.sum().backward()
        return losses

    @override
    def passes(self, settings: Settings) -> tuple[float, float]:
        """Two passes over every batch; "lazy": two over its half, at one step of four."""
        number = 2.0 if settings["variant"] == "exact" else 1.0
        return number, number


class LastLogits(Callback):
    """Keeps the logits (N, C) of every training row from when it was last seen, NaN before."""

    def __init__(self, session: TrainingSession, settings: Settings) -> None:
        super().__init__(session, settings)
        import torch

        task = session.tokenised
        device = next(session.model.parameters()).device
        self.logits = torch.full((len(task.train), len(task.task.label_names)), torch.nan, device=device)

    def swap(self, rows: np.ndarray, logits: torch.Tensor) -> torch.Tensor:
        """Keep the rows' logits (B, C); those of the epoch before."""
        before = self.logits[rows]
        self.logits[rows] = logits.detach()
        return before

    @override
    def state(self) -> dict[str, torch.Tensor]:
        return {"logits": self.logits}

    @override
    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        self.logits.copy_(tensors["logits"])


def noise(session: TrainingSession, step: int, settings: Settings) -> Callable[[int, torch.Tensor], torch.Tensor]:
    """(layer, addition) -> the addition times noise; layers run in the same order in every pass of a run."""
    import torch

    device = next(session.model.parameters()).device
    generator, layers = torch_generator(session, device, step), session.shapes.num_layers

    def multiply(layer: int, addition: torch.Tensor) -> torch.Tensor:
        shape = (addition.shape[0], *[1] * (addition.ndim - 2), addition.shape[-1])
        z = torch.randn(shape, generator=generator, device=device)
        return addition * (1 + settings["sigma"] * (1 - layer / layers) * z)

    return multiply
