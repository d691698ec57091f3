"""Callback: what a method or a procedure does around the steps of one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from autopeft.methods.mechanisms.method import Settings
    from autopeft.methods.mechanisms.training import TrainingSession


class Callback:
    """Acts between the steps of one run; a run that has any is trained alone.

    It is built after the parameters, optimiser and step of a resumed run were loaded; its own state is loaded after
    that. Nothing here may draw from torch's global random state or read a clock: a resumed run must repeat an
    uninterrupted one. So what is drawn comes from a generator seeded by `session.seed` and the step, and what must be
    remembered is in `state`.
    """

    def __init__(self, session: TrainingSession, settings: Settings) -> None:
        self.session, self.settings = session, settings

    def before_forward(self, step: int) -> None:
        """Act before a step's forward pass; step: how many steps are done."""

    def before_update(self, step: int) -> None:
        """Act when the gradients are there, not yet clipped."""

    def after_update(self, step: int) -> None:
        """Act when the optimiser has stepped; the gradients are still there."""

    def state(self) -> dict[str, torch.Tensor]:
        """What a resumed run needs beside parameters, optimiser and step, by name."""
        return {}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Restore what `state` gave."""
