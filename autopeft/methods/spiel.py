"""SpIEL: entries are dropped and grown while they train."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.reselection import Entries, Reselection
from autopeft.methods.mechanisms.sparse import Sparse
from autopeft.methods.mechanisms.training import TrainingSession

if TYPE_CHECKING:
    import torch

    from autopeft.methods.mechanisms.statistics import Statistics


WINDOW = 5  # steps over which the gradients of candidates are added up; at its end entries are replaced
SHARE = 0.2  # of the entries, falling to none at the end; after the first window, which begins the run, all of them


class Spiel(Sparse):
    """From random entries, all replaced after step 5; then every so many steps those of smallest value go for others.

    growth "ag": those of the largest accumulated gradient among candidates; "ma": those of the largest product of
    SM3's row and column statistics, which no gradient of an untrained entry is needed for. When entries are replaced is as
    in the authors' code, but a run of less than 40 steps has shorter windows: a rung at a quarter of it would otherwise
    score the random entries. Both train with AdamW (the paper trains "ma" with SM3), and grown entries begin with the
    moments that it would have of the window's gradients (the authors' code takes the means).
    """

    name = "spiel"
    title = "SpIEL"
    family = "sparse"
    paper = "Ansell et al. 2024, arXiv 2401.16405"
    hyperparameters = {**Sparse.hyperparameters, "growth": ("ag", "ma"), "reselect_every": (10, 20, 40)}
    defaults = {**Sparse.defaults, "growth": "ag", "reselect_every": 20}
    in_parts = False

    @override
    def scores(
        self,
        path: str,
        weight: torch.Tensor,
        settings: Settings,
        statistics: Statistics | None,
        generator: torch.Generator,
    ) -> torch.Tensor:
        import torch

        return torch.rand(weight.shape, generator=generator)

    @override
    def callback(self, session: TrainingSession, settings: Settings) -> Callback | None:
        return {"ag": AccumulatedGradients, "ma": MomentumApproximation}[settings["growth"]](session, settings)


class Growth(Reselection):
    """Replaces a share of each layer's entries at the end of every window; a subclass says which come in."""

    def window(self, step: int) -> tuple[int, int]:
        """How many steps of the window that began last are done, and how long a window is."""
        return step % self.settings["reselect_every"], min(WINDOW, max(1, self.session.steps // 8))

    @override
    def before_forward(self, step: int) -> None:
        done, length = self.window(step)
        if done == length:
            share = 1.0 if step == length else SHARE * (1 - step / self.session.steps)
            for entries in self.entries:
                number = int(share * entries.number)
                if number:
                    dropped = entries.values.detach().abs().topk(number, largest=False).indices
                    self.grow(entries, dropped)

    def grow(self, entries: Entries, places: torch.Tensor) -> None:
        """Put the best entries at these places."""
        raise NotImplementedError


class AccumulatedGradients(Growth):
    """Candidates' gradients over a window of steps: their sum decides, and AdamW's moments of them are the start."""

    def __init__(self, session: TrainingSession, settings: Settings) -> None:
        super().__init__(session, settings)
        for entries in self.entries:
            entries.gradients = []

    @override
    def before_forward(self, step: int) -> None:
        super().before_forward(step)
        done, length = self.window(step)
        for entries in self.entries:
            entries.layer.observe = None
            if done < length:
                entries.watch(entries.number, lambda gradient: gradient.abs(), trained_too=True)
            else:
                entries.candidates, entries.gradients = None, []

    @override
    def before_update(self, step: int) -> None:
        super().before_update(step)
        for entries in self.entries:
            if entries.seen is not None and entries.values.grad is not None:
                entries.norm = entries.values.grad.norm()

    @override
    def after_update(self, step: int) -> None:
        super().after_update(step)
        for entries in self.entries:
            if entries.seen is not None and entries.values.grad is not None:
                clipped = entries.values.grad.norm() / entries.norm.clamp(min=1e-30)  # as the trained ones were
                entries.gradients.append(entries.seen * clipped)
            entries.seen = None

    @override
    def grow(self, entries: Entries, places: torch.Tensor) -> None:
        import torch

        from autopeft.methods.mechanisms.sparse_product import top

        if not entries.gradients or entries.candidates is None:
            return
        first = second = torch.zeros_like(entries.gradients[0])
        beta1, beta2 = entries.optimiser.defaults["betas"]
        for gradient in entries.gradients:
            first = beta1 * first + (1 - beta1) * gradient
            second = beta2 * second + (1 - beta2) * gradient.square()
        staying = entries.indices.index_fill(0, places, -1)
        scores = sum(entries.gradients, torch.zeros_like(first)).abs()
        best = top(scores.masked_fill(torch.isin(entries.candidates, staying), -1.0), len(places))
        places = places[~torch.isin(entries.indices[places], entries.candidates[best])]  # what is among the best stays
        best = best[~torch.isin(entries.candidates[best], entries.indices)][: len(places)]
        places = places[: len(best)]
        entries.replace(places, entries.candidates[best], (first[best], second[best]), len(entries.gradients))

    @override
    def remembered(self, entries: Entries) -> dict[str, torch.Tensor]:
        import torch

        state = super().remembered(entries)
        if entries.gradients:
            state |= {"candidates": entries.candidates, "gradients": torch.stack(entries.gradients)}
        return state

    @override
    def recall(self, entries: Entries, tensors: dict[str, torch.Tensor]) -> None:
        super().recall(entries, tensors)
        if "candidates" in tensors:
            device = entries.values.device
            entries.candidates = tensors["candidates"].to(device)
            entries.gradients = list(tensors["gradients"].to(device))


class MomentumApproximation(Growth):
    """SM3's statistics of the trained entries: row r and column c hold the largest nu of theirs (arXiv 1901.11150)."""

    def __init__(self, session: TrainingSession, settings: Settings) -> None:
        super().__init__(session, settings)
        for entries in self.entries:
            entries.rows, entries.columns = entries.weight[:, 0].float() * 0, entries.weight[0].float() * 0

    @override
    def after_update(self, step: int) -> None:
        super().after_update(step)
        for entries in self.entries:
            if entries.values.grad is not None:
                indices = entries.indices.long()
                row, column = indices // len(entries.columns), indices % len(entries.columns)
                nu = entries.rows[row].minimum(entries.columns[column]) + entries.values.grad.square()
                entries.rows.scatter_reduce_(0, row, nu, "amax")
                entries.columns.scatter_reduce_(0, column, nu, "amax")

    @override
    def grow(self, entries: Entries, places: torch.Tensor) -> None:
        from autopeft.methods.mechanisms.sparse_product import top

        scores = entries.rows.outer(entries.columns).flatten()
        entries.replace(places, top(scores.index_fill(0, entries.indices.long(), -1.0), len(places)))

    @override
    def remembered(self, entries: Entries) -> dict[str, torch.Tensor]:
        return {**super().remembered(entries), "rows": entries.rows, "columns": entries.columns}

    @override
    def recall(self, entries: Entries, tensors: dict[str, torch.Tensor]) -> None:
        super().recall(entries, tensors)
        entries.rows.copy_(tensors["rows"])
        entries.columns.copy_(tensors["columns"])
