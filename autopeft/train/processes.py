"""The processes of `accelerate launch` that train one model together: their shares of a step, and the gradients' sum."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import distributed, nn

from autopeft.train.options import process_count


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: Its number, from 0.
        number: How many there are; alone nothing is sent.
    """

    rank: int = 0
    number: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def first_goes_first(self) -> AbstractContextManager[Any]:
        """The others begin the with block when the first process has left it, and find what it stored."""
        if self.number == 1:
            return nullcontext()
        from accelerate import PartialState

        return PartialState().main_process_first()

    def parts(self, units: np.ndarray, passes: int) -> list[np.ndarray]:
        """Split a step's units into the passes that this process takes.

        Args:
            units: (U,) Sorted by length, so each pass takes every n-th.
            passes: How many this process takes at most.
        """
        every = self.number * passes
        cut = [units[start::every] for start in range(every)]
        return [part for part in cut[self.rank * passes : (self.rank + 1) * passes] if len(part)]

    def summed(
        self, loss: torch.Tensor, gradients: dict[str, torch.Tensor], parameters: dict[str, nn.Parameter]
    ) -> torch.Tensor:
        """Replace every process's gradients by their sum, in one message.

        Args:
            loss: (1,) This process's share of the loss.
            gradients: By name, of the parameters that have one: of fewer rows than parts a process gets none.
            parameters: By name, the same ones in every process.

        Returns:
            The summed loss (1,).
        """
        if self.number == 1:
            return loss
        named = {n: p for n, p in parameters.items() if p.requires_grad}
        have = torch.tensor([float(n in gradients) for n in named], device=loss.device)
        grads = [gradients[n] if n in gradients else torch.zeros_like(p) for n, p in named.items()]
        flat = torch.cat([loss, have, *[g.flatten() for g in grads]])
        distributed.all_reduce(flat)
        sizes = [1, len(named), *[p.numel() for p in named.values()]]
        loss, have, *grads = flat.split(sizes)
        gradients.clear()
        for (name, parameter), some, gradient in zip(named.items(), have, grads):
            if some:
                gradients[name] = gradient.view_as(parameter).clone()
        return loss.clone()

    def agreed(self, numbers: list[float]) -> list[float]:
        """The numbers of the first process, so that all decide alike."""
        if self.number > 1:
            box = [numbers]
            distributed.broadcast_object_list(box, src=0)
            numbers = box[0]
        return numbers


@contextmanager
def together() -> Iterator[Processes]:
    """This process among those it was launched with, for the length of a with block."""
    if process_count() == 1:
        yield Processes()
        return
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available())
    try:
        yield Processes(state.process_index, state.num_processes)
    finally:
        state.destroy_process_group()
