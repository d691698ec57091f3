"""Statistics: what methods read off the task's data before they train, computed once and shared by all trials."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from autopeft.importance.calibration import calibration_units
from autopeft.tasks.batches import collate, moved, unit_batches

if TYPE_CHECKING:
    from torch import nn

    from autopeft.backbone.loading import Backbone
    from autopeft.tasks.tokens import TokenisedTask


if TYPE_CHECKING:
    import torch

BATCH = 32
ROWS = 512  # of the training split
EPOCHS, RATE, HEAD_RATE = 2, 5e-5, 1e-3  # of the short full fine-tuning


class Statistics:
    """Gradients of the task loss and covariances of the inputs, on the frozen backbone with its own head.

    Everything is computed when it is first asked for, on the same rows, and kept: per weight matrix (o, i), fp32.
    Asked for while adapters are attached it would see them, so a Trainer asks before it attaches.
    """

    def __init__(self, backbone: Backbone, tokenised: TokenisedTask, rows: int = ROWS, seed: int = 0) -> None:
        self.backbone, self.tokenised = backbone, tokenised
        self.rows = calibration_units(tokenised, min(rows, len(tokenised.train)), seed)
        self._gradients: dict[str, torch.Tensor] = {}
        self._squares: dict[str, torch.Tensor] = {}
        self._covariances: dict[str, torch.Tensor] = {}
        self._changes: dict[str, torch.Tensor] = {}

    def gradient(self, name: str) -> torch.Tensor:
        """Sum over batches of the gradient of a parameter, in its own shape."""
        self._differentiate()
        return self._gradients[name]

    def squared_gradient(self, name: str) -> torch.Tensor:
        """Sum over batches of the squared gradient of a parameter (He et al. 2023, arXiv 2303.08566, eq. 4)."""
        self._differentiate()
        return self._squares[name]

    def covariance(self, path: str) -> torch.Tensor:
        """Mean over tokens that are not padding of x x^T, (i, i), of the inputs x of the linear at that path."""
        if not self._covariances:
            self._observe()
        return self._covariances[path]

    def change(self, name: str) -> torch.Tensor:
        """How far a linear's weight goes in a short full fine-tuning (Ansell et al. 2021, arXiv 2110.07560)."""
        if not self._changes:
            self._fine_tune()
        return self._changes[name]

    def batches(self) -> Iterator[tuple[dict[str, torch.Tensor], torch.Tensor]]:
        """Inputs and targets of the calibration rows, on the backbone's device."""
        first = next(self.backbone.model.parameters())
        for rows in unit_batches(self.tokenised.train, BATCH, rows=self.rows):
            inputs, targets = collate(self.tokenised.train, rows, self.tokenised.pad_token_id)
            yield moved(inputs, first), targets.to(first.device)

    def _loss(self, out: Any, targets: torch.Tensor) -> torch.Tensor:
        return self.tokenised.kind.loss(self.tokenised.kind.logits(out), targets)

    def _differentiate(self) -> None:
        if self._gradients:
            return
        import torch

        model, shapes = self.backbone.model, self.backbone.shapes
        named = {n: p for n, p in model.named_parameters() if shapes.layer_of(n) is not None}
        asked = {n: p.requires_grad for n, p in named.items()}
        try:
            for p in named.values():
                p.requires_grad_(True)
            with torch.enable_grad():
                for inputs, targets in self.batches():
                    loss = self._loss(model(**inputs), targets)
                    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
                    for name, p, g in zip(named, named.values(), found):
                        g = torch.zeros_like(p) if g is None else g
                        self._add(self._gradients, name, g.float())
                        self._add(self._squares, name, g.float().square())
        finally:
            for name, p in named.items():
                p.requires_grad_(asked[name])

    def _fine_tune(self) -> None:
        """Train copies of the linears' weights and of the head: the backbone itself keeps its values."""
        import torch

        shapes, model = self.backbone.shapes, self.backbone.model
        weights, heads = {f"{x.path}.weight" for x in shapes.linears}, tuple(f"{path}." for path in shapes.head_modules)
        copies = {
            n: torch.nn.Parameter(p.detach().float().clone())
            for n, p in model.named_parameters()
            if n in weights or n.startswith(heads)
        }
        groups = [
            {"params": [p for n, p in copies.items() if n in weights], "lr": RATE},
            {"params": [p for n, p in copies.items() if n not in weights], "lr": HEAD_RATE},
        ]
        optimiser = torch.optim.AdamW(groups, weight_decay=0.0)
        first = next(model.parameters())
        half = torch.autocast(first.device.type, torch.bfloat16, enabled=first.dtype == torch.bfloat16)
        for _ in range(EPOCHS):
            for inputs, targets in self.batches():
                with torch.enable_grad(), half:
                    self._loss(torch.func.functional_call(model, copies, (), inputs), targets).backward()
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)
        self._changes = {n: copies[n].detach() - model.get_parameter(n).detach().float() for n in weights}

    def _observe(self) -> None:
        import torch

        model, mask = self.backbone.model, None
        counts: dict[str, int] = {}
        shapes = self.backbone.shapes
        paths = [x.path for x in shapes.linears]
        # the mask is of what an encoder reads, not of what its decoder writes
        later = {x.path for x in shapes.linears if shapes.decoder_path and x.layer >= shapes.encoder_layers}

        def hook(path: str) -> Callable[[nn.Module, tuple], None]:
            def see(_: nn.Module, given: tuple) -> None:
                masked = mask is not None and path not in later and given[0].shape[:2] == mask.shape
                x = (given[0][mask] if masked else given[0].flatten(0, -2)).float()
                self._add(self._covariances, path, x.T @ x)
                counts[path] = counts.get(path, 0) + len(x)

            return see

        hooks = [model.get_submodule(p).register_forward_pre_hook(hook(p)) for p in paths]
        try:
            with torch.no_grad():
                for inputs, _ in self.batches():
                    mask = inputs["attention_mask"].bool() if "attention_mask" in inputs else None
                    model(**inputs)
        finally:
            for handle in hooks:
                handle.remove()
        for path in self._covariances:
            self._covariances[path] /= counts[path]

    @staticmethod
    def _add(sums: dict[str, torch.Tensor], name: str, value: torch.Tensor) -> None:
        sums[name] = value if name not in sums else sums[name].add_(value)


def largest(scores: torch.Tensor, number: int) -> torch.Tensor:
    """Flat indices (number,) of the largest entries, ascending; ties go to the lower index."""
    import torch

    order = np.argsort(-scores.flatten().cpu().numpy(), kind="stable")[:number]
    return torch.from_numpy(np.sort(order))
