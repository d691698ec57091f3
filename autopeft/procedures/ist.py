"""IST: layers train in turn, those more often whose adapters matter; their importance is learnt."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.training import TrainingSession
from autopeft.procedures.mechanisms.additions import changed_additions, not_additive
from autopeft.procedures.mechanisms.draws import generator
from autopeft.procedures.mechanisms.procedure import Procedure
from autopeft.procedures.mechanisms.selection import Selection, unselectable

if TYPE_CHECKING:
    import numpy as np
    import torch


SUPPRESSED = 0.5  # share of the layers whose adapters a trial of the importance loop turns down
BETA = 0.25  # to this share of what they add
TRIALS = 3  # sets of suppressed layers that are compared with each other
RATE = 10.0  # of the importance scores
DRAWN, TRIED = 0, 1  # what a generator is for


class Ist(Procedure):
    """Every `interval` steps the scores I learn from the losses with some layers' adapters turned down.

    A high I means that a layer can be suppressed, so layers are drawn for training with weights sigmoid(-I).
    """

    name = "ist"
    title = "IST"
    paper = "Yao et al. 2024, arXiv 2410.11772"
    hyperparameters = {"share": (0.25, 0.5), "interval": (5, 10, 20)}
    defaults = {"share": 0.25, "interval": 10}

    @override
    def refuses(self, methods: tuple[str, ...], shapes: BackboneShapes) -> str | None:
        return unselectable(methods, shapes) or not_additive(methods, shapes)

    @override
    def callback(self, session: TrainingSession, settings: Settings) -> Callback | None:
        return ImportantLayers(session, settings)


class ImportantLayers(Selection):
    """The layers of each step; the scores I (n,) of the adapted layers are its state."""

    # A layer is drawn anew at every step. Without a gradient AdamW passes over it, so its moments are not applied
    # while it rests; clearing them would leave an AdamW that only ever takes first steps.
    forgets = False

    def __init__(self, session: TrainingSession, settings: Settings) -> None:
        super().__init__(session, settings)
        import torch

        self.scores = torch.zeros(len(self.adapted), dtype=torch.float64)

    @override
    def before_forward(self, step: int) -> None:
        if step and step % self.settings["interval"] == 0:
            self.learn(step)
        super().before_forward(step)

    @override
    def active(self, step: int) -> Collection[str]:
        number = max(1, round(self.settings["share"] * len(self.adapted)))
        return self.of_layers(self.drawn(generator(self.session, step, DRAWN), number, -self.scores))

    def drawn(self, random: np.random.Generator, number: int, scores: torch.Tensor) -> set[int]:
        """Layers without replacement, with weights sigmoid(scores)."""
        weights = scores.sigmoid().numpy()
        return set(random.choice(self.adapted, number, replace=False, p=weights / weights.sum()).tolist())

    def learn(self, step: int) -> None:
        """Reinforce the suppression of those layers without whose adapters a batch's loss is low."""
        random, session = generator(self.session, step, TRIED), self.session
        split = session.tokenised.train
        rows = split.expand(random.choice(split.number_of_units, session.batch_size))
        number = max(1, round(SUPPRESSED * len(self.adapted)))
        sets = [self.drawn(random, number, self.scores) for _ in range(TRIALS)]
        rewards = [math.exp(-self.loss(rows, suppressed)) for suppressed in sets]
        slope = self.scores.sigmoid() * (1 - self.scores.sigmoid())
        for suppressed, reward in zip(sets, rewards):
            for place, layer in enumerate(self.adapted):
                if layer in suppressed:
                    self.scores[place] += RATE * (reward - sum(rewards) / TRIALS) * slope[place]

    def loss(self, rows: np.ndarray, suppressed: set[int]) -> float:
        """The loss of training rows (B,) with the adapters of some layers turned down."""
        import torch

        def turn_down(layer: int, addition: torch.Tensor) -> torch.Tensor:
            return BETA * addition if layer in suppressed else addition

        with torch.no_grad(), changed_additions(self.session.model, self.shapes, turn_down):
            logits, targets = self.session.logits("train", rows)
        return self.session.loss(logits[0], targets).item()

    @override
    def state(self) -> dict[str, torch.Tensor]:
        return {"scores": self.scores}

    @override
    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        self.scores.copy_(tensors["scores"])
