"""FreezeOut: the adapted blocks are frozen one after the other, from the bottom up. Imports no torch."""

import math

from autopeft.base.recipe import warmup_steps
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

    def refuses(self, methods, shapes):
        return unselectable(methods, shapes)

    def callback(self, session, settings):
        return BottomUp(session, settings)


class BottomUp(Selection):
    def __init__(self, session, settings):
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

    def active(self, step):
        return self.of_layers({x for x, end in self.ends.items() if step < end * self.steps})

    def before_update(self, step):
        rise = min(1.0, (step + 1) / warmup_steps(self.steps))
        for layer, group in self.groups.items():
            end = self.ends[layer]
            share = min(1.0, step / (end * self.steps))
            group["lr"] = group["rate"] / end * rise * (1 + math.cos(math.pi * share)) / 2
