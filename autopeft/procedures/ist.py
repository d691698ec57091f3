"""IST: layers train in turn, those more often whose adapters matter; their importance is learnt. Imports no torch."""

import math

from autopeft.procedures.mechanisms.additions import changed_additions, not_additive
from autopeft.procedures.mechanisms.draws import generator
from autopeft.procedures.mechanisms.procedure import Procedure
from autopeft.procedures.mechanisms.selection import Selection, unselectable

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

    def refuses(self, methods, shapes):
        return unselectable(methods, shapes) or not_additive(methods, shapes)

    def callback(self, session, settings):
        return ImportantLayers(session, settings)


class ImportantLayers(Selection):
    """The layers of each step; the scores I (n,) of the adapted layers are its state."""

    # A layer is drawn anew at every step. Without a gradient AdamW passes over it, so its moments are not applied
    # while it rests; clearing them would leave an AdamW that only ever takes first steps.
    forgets = False

    def __init__(self, session, settings):
        super().__init__(session, settings)
        import torch

        self.scores = torch.zeros(len(self.adapted), dtype=torch.float64)

    def before_forward(self, step):
        if step and step % self.settings["interval"] == 0:
            self.learn(step)
        super().before_forward(step)

    def active(self, step):
        number = max(1, round(self.settings["share"] * len(self.adapted)))
        return self.of_layers(self.drawn(generator(self.session, step, DRAWN), number, -self.scores))

    def drawn(self, random, number: int, scores) -> set[int]:
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

    def loss(self, rows, suppressed: set[int]) -> float:
        import torch

        def turn_down(layer, addition):
            return BETA * addition if layer in suppressed else addition

        with torch.no_grad(), changed_additions(self.session.model, self.shapes, turn_down):
            logits, targets = self.session.logits("train", rows)
        return self.session.loss(logits[0], targets).item()

    def state(self):
        return {"scores": self.scores}

    def load(self, tensors):
        self.scores.copy_(tensors["scores"])
