"""HFT, half fine-tuning: in every round a random half of each block's modules is frozen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.training import TrainingSession
from autopeft.procedures.mechanisms.draws import generator
from autopeft.procedures.mechanisms.procedure import Procedure
from autopeft.procedures.mechanisms.selection import Selection, unselectable


class Hft(Procedure):
    """Half of the attention's modules, of the feed-forward part's and of the rest (norms), block by block.

    Where their number is odd it is the larger half in every other block, and the other way round in the next round.
    What is beside the blocks and the head always train.
    """

    name = "hft"
    title = "half fine-tuning"
    paper = "Hui et al. 2024, arXiv 2404.18466"
    hyperparameters = {"rounds": (2, 4, 8)}
    defaults = {"rounds": 4}

    @override
    def refuses(self, methods: tuple[str, ...], shapes: BackboneShapes) -> str | None:
        return unselectable(methods, shapes)

    @override
    def callback(self, session: TrainingSession, settings: Settings) -> Callback | None:
        return HalfOfEach(session, settings)


class HalfOfEach(Selection):
    """Draws, for every round, the half of each group of modules that trains."""

    def __init__(self, session: TrainingSession, settings: Settings) -> None:
        super().__init__(session, settings)
        self.groups: dict[tuple, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        roles = {linear.path: linear.role for linear in self.shapes.linears}
        for name, layer in self.layer_of.items():
            if layer is not None:
                module = owner(name, roles)
                self.groups[layer, category(roles.get(module))][module].append(name)

    @override
    def active(self, step: int) -> Collection[str]:
        length = -(-self.steps // self.settings["rounds"])
        number, names = step // length, []
        random = generator(self.session, number)
        for (layer, _), members in self.groups.items():
            half = (len(members) + (layer + number) % 2) // 2
            for module in random.permutation(list(members))[:half]:
                names += members[str(module)]
        return names


def owner(name: str, linears: Iterable[str]) -> str:
    """The linear that a parameter belongs to, or else the module that holds it."""
    plain = name.removeprefix("base_model.model.").removesuffix(".default")
    for wrapper in (".modules_to_save.default", ".base_layer"):
        plain = plain.replace(wrapper, "")
    inside = [path for path in linears if plain.startswith(path + ".")]
    return inside[0] if inside else plain.rpartition(".")[0]


def category(role: str | None) -> str:
    """The group that a linear's role belongs to; modules without one (norms) are the rest."""
    return "rest" if role is None else "ffn" if role.startswith("ffn") else "attention"
