"""Guard: augmentation ends for the rest of a run once validation shows that it harms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.training import TrainingSession

if TYPE_CHECKING:
    import torch


CHECKS = 8  # in a run, the first before its first step
ROWS = 64  # of the validation split


class Guard(Callback):
    """`on` until the losses of fixed validation rows have risen since the check before by more than chance would.

    More than chance: the mean of the rows' differences is above its standard error. Checks are at fixed shares of a
    run, whenever else it is scored, so a run with other rungs, or one that is resumed, is the same run. What the run
    learns of the validation split is when to stop augmenting, one of CHECKS answers.
    """

    def __init__(self, session: TrainingSession, settings: Settings) -> None:
        super().__init__(session, settings)
        import torch

        self.on = torch.tensor(True)
        self.before = torch.zeros(0)  # loss (N,) of every row at the last check

    @override
    def before_update(self, step: int) -> None:
        """After `step` steps, and with the gradients of the next: methods are then as they are when they are scored."""
        steps = self.session.steps
        due = not step or step * CHECKS // steps > (step - 1) * CHECKS // steps
        if not (due and self.on):
            return
        losses = self.losses()
        if len(self.before):
            risen = losses - self.before
            self.on = risen.mean() <= risen.std() / len(risen) ** 0.5
        self.before = losses

    def losses(self) -> torch.Tensor:
        """The loss of each of the rows (N,)."""
        import torch

        with torch.no_grad():
            logits, targets = self.session.logits("validation", self.session.rows("validation", ROWS))
            return self.session.unit_losses(logits[0], targets).cpu()

    @override
    def state(self) -> dict[str, torch.Tensor]:
        return {"on": self.on, "before": self.before}

    @override
    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        self.on, self.before = tensors["on"], tensors["before"]


def augmenting(session: TrainingSession) -> bool:
    """Whether the guard of this run still lets it augment."""
    return bool(next(part for part in session.callbacks if isinstance(part, Guard)).on)
