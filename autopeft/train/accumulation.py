"""Gradient accumulation: one step's rows in several passes, by several processes, with the gradients of one pass."""

import numpy as np
import torch
from typing_extensions import override

from autopeft.proxy.session import Session
from autopeft.train.processes import Processes


class AccumulatedSession(Session):
    """A session whose steps are split into passes and among processes.

    Attributes:
        processes: Those that train together.
        passes: In how many passes each of them takes its share of a step's rows.
    """

    processes = Processes()
    passes = 1

    @override
    def gradients(self, rows: np.ndarray) -> torch.Tensor:
        if self.passes * self.processes.number == 1:
            return super().gradients(rows)
        parameters = self.run.parameters
        loss = torch.zeros(1, device=next(iter(parameters.values())).device)
        total: dict[str, torch.Tensor] = {}
        split, kind = self.trainer.tokenised.train, self.trainer.tokenised.kind
        for units in self.processes.parts(split.units(rows), self.passes):
            part = split.expand(units)
            share = kind.weight(split, part) / kind.weight(split, rows)  # by what the loss averages over
            loss += share * super().gradients(part).detach()
            for name, parameter in parameters.items():
                if parameter.grad is not None:
                    total[name] = total.get(name, 0) + share * parameter.grad
                    parameter.grad = None
        loss = self.processes.summed(loss, total, parameters)
        for name, gradient in total.items():
            parameters[name].grad = gradient
        return loss
