"""ID3: entries are unmasked a few at a step, until at the last step the whole budget trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from typing_extensions import override

from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.reselection import Entries, Reselection
from autopeft.methods.mechanisms.sparse import Sparse
from autopeft.methods.mechanisms.training import TrainingSession

if TYPE_CHECKING:
    import torch
    from peft import PeftModel

    from autopeft.methods.mechanisms.statistics import Statistics


EPSILON = 1e-3


class Id3(Sparse):
    """Score |gradient| / (|weight| + epsilon)^exponent. The budget is a share of each matrix, not one for all."""

    name = "id3"
    title = "ID3"
    family = "sparse"
    paper = "Agarwal et al. 2024, arXiv 2408.14470"
    hyperparameters = {**Sparse.hyperparameters, "exponent": (0.0, 0.5, 1.0)}
    defaults = {**Sparse.defaults, "exponent": 0.0}
    in_parts = False

    @override
    def after_attach(
        self, model: PeftModel, settings: Settings, layers: tuple[int, ...], statistics: Statistics | None, seed: int
    ) -> None:
        pass  # places are filled as the run goes; what is not filled has value zero

    @override
    def callback(self, session: TrainingSession, settings: Settings) -> Callback | None:
        return Unmasking(session, settings)


class Unmasking(Reselection):
    """Fills the places of each layer step by step, those of the highest score first."""

    def __init__(self, session: TrainingSession, settings: Settings) -> None:
        super().__init__(session, settings)
        for entries in self.entries:
            entries.filled = 0

    def score(self, entries: Entries) -> Callable[[torch.Tensor], torch.Tensor]:
        """Gradient (n,) -> D3 (n,)."""
        size = (entries.weight.flatten().float().abs() + EPSILON) ** self.settings["exponent"]
        return lambda gradient: gradient.abs() / size

    @override
    def before_forward(self, step: int) -> None:
        for entries in self.entries:
            missing = unmasked(step + 1, entries.number, self.session.steps) - entries.filled
            entries.candidates = entries.seen = entries.layer.observe = None
            if missing > 0:
                entries.watch(missing, self.score(entries))

    @override
    def before_update(self, step: int) -> None:
        for entries in self.entries:
            gradient = entries.values.grad
            if gradient is None:
                continue
            if entries.seen is not None:
                places = slice(entries.filled, entries.filled + len(entries.seen))
                entries.replace(places, entries.candidates)
                gradient[places] = entries.seen
                entries.filled = places.stop
            gradient[entries.filled :] = 0.0  # and with it both moments, so these places stay at zero

    @override
    def after_update(self, step: int) -> None:
        """Leave AdamW's step as it is: in the authors' code too one count of steps corrects all entries' moments."""

    @override
    def remembered(self, entries: Entries) -> dict[str, torch.Tensor]:
        return {**super().remembered(entries), "filled": entries.age.new_tensor(entries.filled).int()}

    @override
    def recall(self, entries: Entries, tensors: dict[str, torch.Tensor]) -> None:
        super().recall(entries, tensors)
        entries.filled = int(tensors["filled"])


def unmasked(step: int, budget: int, steps: int) -> int:
    """Entries that train at a step (1 to steps): as many more at each, what is left over at the first ones."""
    return budget // steps * step + min(step, budget % steps)
