"""TrainingSession: all that a method or a procedure may touch of a run while it trains.

`autopeft.proxy.session.Session` is one; the types say so, and nothing here knows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch

    from autopeft.backbone.loading import Backbone
    from autopeft.backbone.shapes import BackboneShapes
    from autopeft.configuration import Configuration
    from autopeft.methods.mechanisms.callback import Callback
    from autopeft.tasks.tokens import TokenisedTask


class TrainingSession(Protocol):
    """One run of one configuration on the attached model.

    Shapes: B rows of a batch, S tokens, C classes, K runs that share the batches (1 wherever callbacks or a
    procedure's own gradients are in play).
    """

    model: Any  # the peft model around the resident backbone

    @property
    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """What is trained: the method's and the head's parameters by their names in `model`."""

    @property
    def optimiser(self) -> torch.optim.Optimizer:
        """The procedure's over `parameters`, AdamW unless it has one of its own, under which no method has a callback.

        One group of the method's parameters, then one of the head's; "rate" is a group's peak rate.
        """

    @property
    def configuration(self) -> Configuration:
        """What is trained and how."""

    @property
    def seed(self) -> int:
        """The run's seed: whatever a callback draws depends on it and on the step alone."""

    @property
    def step(self) -> int:
        """How many steps are done."""

    @property
    def steps(self) -> int:
        """How many steps the whole run has, the parts still to come included."""

    @property
    def backbone(self) -> Backbone:
        """The resident backbone, with the adapters attached."""

    @property
    def shapes(self) -> BackboneShapes:
        """The backbone's sizes."""

    @property
    def tokenised(self) -> TokenisedTask:
        """The task's train, validation and test split."""

    @property
    def batch_size(self) -> int:
        """Rows of a training batch."""

    @property
    def callbacks(self) -> Sequence[Callback]:
        """What acts between the steps of this run, the methods' in their order and then the procedure's."""

    def rows(self, part: str, number: int | None) -> np.ndarray:
        """The first rows of a split in a fixed order, every class by its share.

        Args:
            part: "train", "validation" or "test".
            number: how many units (None: all); a unit can have several rows.

        Returns:
            Row numbers (N,).
        """

    def logits(self, part: str, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """A forward pass.

        Args:
            part: the split that the rows belong to.
            rows: row numbers (B,).

        Returns:
            fp32 logits (K, B, ...), (K, B, C) for classes, and the targets of the rows (B, ...).
        """

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The task's mean loss, a scalar, of one run's logits (B, ...)."""

    def unit_losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The task's loss of each unit (U,), rows for most kinds of task, of one run's logits (B, ...)."""

    def losses(self, rows: np.ndarray) -> torch.Tensor:
        """The training loss of each run (K,) on training rows (B,): the task's and the methods' own."""

    def own_losses(self) -> list[torch.Tensor]:
        """The losses that the methods add: scalars of the attached parameters."""
