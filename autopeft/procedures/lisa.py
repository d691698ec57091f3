"""LISA: a few of the adapted blocks train at a time, drawn anew every few steps. Imports no torch."""

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

    def refuses(self, methods, shapes):
        return unselectable(methods, shapes)

    def callback(self, session, settings):
        return SampledBlocks(session, settings)


class SampledBlocks(Selection):
    def active(self, step):
        number = min(self.settings["gamma"], len(self.adapted))
        drawn = generator(self.session, step // self.settings["interval"]).choice(self.adapted, number, replace=False)
        return self.of_layers(set(drawn.tolist()))
