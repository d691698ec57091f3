"""Reselection: trained entries that change their places while a run trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.training import TrainingSession

if TYPE_CHECKING:
    import torch

    from autopeft.methods.tuners.sparse import SparseLayer


class Entries:
    """The trained entries of one layer: values, indices and age, each (k,), and AdamW's moments of them.

    AdamW knows one number of steps for a whole tensor. Here each entry has its own, since when it is trained, and the
    moments are corrected by that: an entry that begins late takes a first step of the size of every first step.
    """

    gradients: list[torch.Tensor]  # for "ag": of the candidates, one (c,) for each step of the window
    norm: torch.Tensor  # for "ag": of the gradient before it is clipped
    rows: torch.Tensor  # for "ma": SM3's statistics, (o,) and (i,)
    columns: torch.Tensor

    def __init__(self, layer: SparseLayer, optimiser: torch.optim.Optimizer) -> None:
        from autopeft.methods.tuners.sparse import ADAPTER

        self.layer, self.optimiser, self.adapter = layer, optimiser, ADAPTER
        self.values, self.indices = layer.sparse_values[ADAPTER], layer.sparse_indices[ADAPTER]
        self.age = self.values.detach() * 0
        self.number = self.filled = self.values.numel()  # the first `filled` places are taken
        self.candidates: torch.Tensor | None = None  # entries that are watched (c,)
        self.seen: torch.Tensor | None = None  # their gradient in this step (c,)

    @property
    def weight(self) -> torch.Tensor:
        """The adapted weight (o, i), or (i, o) of a Conv1D, without the delta."""
        return self.layer.get_base_layer().weight.detach()

    @property
    def moments(self) -> tuple[torch.Tensor, ...]:
        """(first, second), or () before the first step."""
        state = self.optimiser.state.get(self.values, {})
        return (state["exp_avg"], state["exp_avg_sq"]) if state else ()

    def delta(self) -> torch.Tensor:
        """What the entries add to the weight, in its layout."""
        return self.layer.get_delta(self.adapter)

    def replace(
        self, places: torch.Tensor, indices: torch.Tensor, moments: tuple[Any, Any] = (0.0, 0.0), age: int = 0
    ) -> None:
        """Train other entries at these places: from zero, with the moments and the age they are given.

        Args:
            places: positions among the k entries, (m,).
            indices: the flat indices of the weight that they train from now on, (m,).
            moments: AdamW's first and second moments to start from.
            age: steps that they count as trained.
        """
        self.indices[places] = indices.to(self.indices.dtype)
        self.values.data[places] = 0.0
        self.age[places] = float(age)
        for mine, given in zip(self.moments, moments):
            mine[places] = given

    def move(self, indices: torch.Tensor) -> None:
        """Train the entries at these indices (k,): those that are trained already keep values, moments and age."""
        import torch

        indices = indices.to(self.indices.dtype)
        gone = (~torch.isin(self.indices, indices)).nonzero().flatten()
        self.replace(gone, indices[~torch.isin(indices, self.indices)])

    def watch(self, number: int, score: Callable[[torch.Tensor], torch.Tensor], trained_too: bool = False) -> None:
        """From the next backward pass on, follow the `number` best entries by score(gradient).

        Args:
            number: how many, fewer where the weight has no more.
            score: gradient (n,) -> scores (n,).
            trained_too: whether those that are trained already are among them.
        """

        def see(gradient: torch.Tensor) -> None:
            from autopeft.methods.mechanisms.sparse_product import top

            flat = gradient.flatten().float()
            if self.candidates is None:
                taken = self.indices[: 0 if trained_too else self.filled].long()
                self.candidates = top(score(flat).index_fill(0, taken, -1.0), min(number, flat.numel() - len(taken)))
            now = flat[self.candidates]
            self.seen = now if self.seen is None else self.seen + now

        self.layer.observe = see

    def correct(self, before: torch.Tensor) -> None:
        """Redo AdamW's step from the values before it, the moments corrected by each entry's age."""
        group = next(g for g in self.optimiser.param_groups if any(p is self.values for p in g["params"]))
        (beta1, beta2), (first, second) = group["betas"], self.moments
        self.age += 1
        root = (second / (1 - beta2**self.age)).sqrt() + group["eps"]
        self.values.data.copy_(before - group["lr"] * first / (1 - beta1**self.age) / root)


class Reselection(Callback):
    """Keeps each entry's age and indices; subclasses move entries between steps."""

    def __init__(self, session: TrainingSession, settings: Settings) -> None:
        from autopeft.methods.tuners.sparse import sparse_layers

        super().__init__(session, settings)
        self.entries = [Entries(x, session.optimiser) for x in sparse_layers(session.model).values()]
        self.before: list = []

    @override
    def before_update(self, step: int) -> None:
        self.before = [entries.values.detach().clone() for entries in self.entries]

    @override
    def after_update(self, step: int) -> None:
        for entries, before in zip(self.entries, self.before):
            if entries.values.grad is not None:  # a procedure may have let these rest
                entries.correct(before)

    @override
    def state(self) -> dict[str, torch.Tensor]:
        return {
            f"{number}.{name}": value
            for number, entries in enumerate(self.entries)
            for name, value in self.remembered(entries).items()
        }

    @override
    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        for number, entries in enumerate(self.entries):
            prefix = f"{number}."
            self.recall(entries, {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})

    def remembered(self, entries: Entries) -> dict:
        """What a resumed run needs of a layer's entries, by name."""
        return {"indices": entries.indices, "age": entries.age}

    def recall(self, entries: Entries, tensors: dict) -> None:
        """Restore what `remembered` gave."""
        entries.indices.copy_(tensors["indices"])
        entries.age.copy_(tensors["age"])
