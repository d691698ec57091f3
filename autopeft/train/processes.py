"""The processes of `accelerate launch` that train one model together: who takes which rows, and the sum of gradients."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import distributed

from autopeft.train.plan import processes


@dataclass(frozen=True)
class Processes:
    """This one's rank among `number`; alone it is 0 of 1 and nothing is sent."""

    rank: int = 0
    number: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def first_goes_first(self) -> AbstractContextManager:
        """The others begin the with block when the first has left it: what it stores they find stored."""
        if self.number == 1:
            return nullcontext()
        from accelerate import PartialState

        return PartialState().main_process_first()

    def parts(self, units: np.ndarray, passes: int) -> list[np.ndarray]:
        """The passes that this process takes of a step; units are sorted by length, so every n-th."""
        every = self.number * passes
        cut = [units[start::every] for start in range(every)]
        return [part for part in cut[self.rank * passes : (self.rank + 1) * passes] if len(part)]

    def summed(self, loss: torch.Tensor, gradients: dict[str, torch.Tensor], parameters: dict) -> torch.Tensor:
        """Every process's gradients are replaced by their sum, in one message; the summed loss (1,).

        gradients: by name, of those parameters that have one; a batch with fewer rows than parts leaves a process none.
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
        """The first process's numbers, so that all decide alike."""
        if self.number > 1:
            box = [numbers]
            distributed.broadcast_object_list(box, src=0)
            numbers = box[0]
        return numbers


@contextmanager
def together() -> Iterator[Processes]:
    """This process among those it was launched with, for the length of a with block."""
    if processes() == 1:
        yield Processes()
        return
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available())
    try:
        yield Processes(state.process_index, state.num_processes)
    finally:
        state.destroy_process_group()
