"""EarlyStopping: the validation losses of one run -> when it ends, and the weights of the best of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isfinite

import torch

from autopeft.methods.mechanisms.callback import Callback

Tensors = dict[str, torch.Tensor]


class EarlyStopping:
    """Watches one run from its beginning.

    What a forward pass of the best point needs is kept: what is trained and the callbacks' states, not the optimiser's
    moments. It lies in the memory of the CPU, so that on a device a run takes what it would take without.

    Args:
        patience: evaluations without a lower loss after which the run has stopped.
    """

    def __init__(self, patience: int) -> None:
        self.patience, self.losses = patience, list[float]()
        self._weights: Tensors = {}
        self._states: list[Tensors] = []

    @property
    def best(self) -> int:
        """The number of the evaluation with the lowest loss, from 0, the first of equals."""
        return min(range(len(self.losses)), key=lambda i: self.losses[i] if isfinite(self.losses[i]) else inf)

    @property
    def stopped(self) -> bool:
        """Whether the patience is spent."""
        return bool(self.losses) and len(self.losses) - 1 - self.best >= self.patience

    def see(self, loss: float, parameters: Mapping[str, torch.Tensor], callbacks: Sequence[Callback] = ()) -> None:
        """Take the loss of an evaluation, and keep what it was reached with if it is the best so far."""
        self.losses.append(loss)
        if self.best == len(self.losses) - 1:
            self._weights, self._states = copied(parameters), [copied(callback.state()) for callback in callbacks]

    def state(self) -> Tensors:
        """What `load` takes: the losses so far, and what is kept of the best."""
        found = {f"best.{name}": tensor for name, tensor in self._weights.items()}
        for number, state in enumerate(self._states):
            found |= {f"callback.{number}.{name}": tensor for name, tensor in state.items()}
        return {**found, "losses": torch.tensor(self.losses, dtype=torch.float64)} if self.losses else {}

    def load(self, tensors: Mapping[str, torch.Tensor], callbacks: int) -> None:
        """Go on from a state; of so many callbacks, as many as it was taken with."""
        self.losses = tensors["losses"].tolist() if "losses" in tensors else []
        self._weights = starting_with("best.", tensors)
        self._states = [starting_with(f"callback.{number}.", tensors) for number in range(callbacks)]

    @torch.no_grad()
    def restore(self, parameters: Mapping[str, torch.Tensor], callbacks: Sequence[Callback] = ()) -> None:
        """Put the best point's weights and states back."""
        if not self.losses or self.best == len(self.losses) - 1:
            return
        for name, parameter in parameters.items():
            parameter.copy_(self._weights[name])
        for callback, state in zip(callbacks, self._states):
            if state:
                callback.load(state)


def starting_with(prefix: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Those whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def copied(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """Copies in the memory of the CPU."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
