"""LISA: a few of the adapted blocks train at a time, drawn anew every few steps."""

from __future__ import annotations

from collections.abc import Collection

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.training import TrainingSession
from autopeft.procedures.mechanisms.draws import generator
from autopeft.procedures.mechanisms.procedure import Procedure
from autopeft.procedures.mechanisms.selection import Selection, unselectable


class Lisa(Procedure):
    """gamma blocks, each as likely as any other; what is beside the blocks and the head always train."""

    name = "lisa"
    title = "LISA"
    paper = "Pan et al. 2024, arXiv 2403.17919"
    hyperparameters = {"gamma": (1, 2, 4), "interval": (5, 20, 50)}
    defaults = {"gamma": 2, "interval": 20}

    @override
    def refuses(self, methods: tuple[str, ...], shapes: BackboneShapes) -> str | None:
        return unselectable(methods, shapes)

    @override
    def callback(self, session: TrainingSession, settings: Settings) -> Callback | None:
        return SampledBlocks(session, settings)


class SampledBlocks(Selection):
    """Draws the blocks of each period."""

    @override
    def active(self, step: int) -> Collection[str]:
        number = min(self.settings["gamma"], len(self.adapted))
        drawn = generator(self.session, step // self.settings["interval"]).choice(self.adapted, number, replace=False)
        return self.of_layers(set(drawn.tolist()))
