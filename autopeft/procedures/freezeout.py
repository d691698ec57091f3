"""FreezeOut: the adapted blocks are frozen one after the other, from the bottom up."""

from __future__ import annotations

import math
from collections.abc import Collection

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.recipe import warmup_steps
from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.training import TrainingSession
from autopeft.procedures.mechanisms.procedure import Procedure
from autopeft.procedures.mechanisms.selection import Selection, unselectable


class FreezeOut(Procedure):
    """Block i of n trains until the share t_i of the run, its rate falling as a cosine to zero at t_i.

    t_i rises linearly from t_0 to 1, and `saving` is the share of the adapted blocks' backward passes that is left
    out: the mean of 1 - t_i, so t_0 = 1 - 2 saving. Rates begin at 1 / t_i, so that every block travels equally far
    (the paper's scaled variant). The head keeps the rates of plain training.
    """

    name = "freezeout"
    title = "FreezeOut"
    paper = "Brock et al. 2017, arXiv 1706.04983"
    hyperparameters = {"saving": (0.1, 0.25, 0.4)}
    defaults = {"saving": 0.25}

    @override
    def refuses(self, methods: tuple[str, ...], shapes: BackboneShapes) -> str | None:
        return unselectable(methods, shapes)

    @override
    def callback(self, session: TrainingSession, settings: Settings) -> Callback | None:
        return BottomUp(session, settings)


class BottomUp(Selection):
    """Gives each adapted block its own last step and its own learning-rate schedule."""

    def __init__(self, session: TrainingSession, settings: Settings) -> None:
        from autopeft.methods.mechanisms.attach import is_head

        super().__init__(session, settings)
        first, above = 1 - 2 * settings["saving"], max(1, len(self.adapted) - 1)
        self.ends = {x: first + (1 - first) * i / above for i, x in enumerate(self.adapted)}
        self.ends[self.adapted[-1]] = 1.0
        # What lies below the blocks (embeddings) trains as long as the lowest: any longer and nothing would be saved.
        for name, layer in self.layer_of.items():
            if layer is None and not is_head(name, self.shapes.head_modules):
                self.layer_of[name] = self.adapted[0]
        self.groups = self._split()

    def _split(self) -> dict[int, dict]:
        """The method's parameter group of the optimiser (the head is the other), cut into one group per block."""
        whole, head = self.session.optimiser.param_groups
        cut = {
            x: {**whole, "params": [p for n, p in self.session.parameters.items() if self.layer_of[n] == x]}
            for x in self.adapted
        }
        self.session.optimiser.param_groups[:] = [*cut.values(), head]
        return cut

    @override
    def active(self, step: int) -> Collection[str]:
        return self.of_layers({x for x, end in self.ends.items() if step < end * self.steps})

    @override
    def before_update(self, step: int) -> None:
        rise = min(1.0, (step + 1) / warmup_steps(self.steps))
        for layer, group in self.groups.items():
            end = self.ends[layer]
            share = min(1.0, step / (end * self.steps))
            group["lr"] = group["rate"] / end * rise * (1 + math.cos(math.pi * share)) / 2
