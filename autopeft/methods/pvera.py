"""PVeRA: VeRA whose scaled projection is the mean and variance of a normal that is drawn from in training. No torch."""

from collections.abc import Mapping

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.dynamics import Dynamics
from autopeft.methods.mechanisms.work import Place, Work, joined
from autopeft.methods.vera import Vera, widest


class Pvera(Vera):
    """dy = diag(b) B z with z ~ N(mu, sigma^2) and (mu, log sigma^2) = diag(d) A x; scored and merged with z = mu."""

    name = "pvera"
    title = "PVeRA"
    paper = "2025, arXiv 2512.07703"
    in_parts = False
    repeatable = False
    packable = False

    def count(self, settings, layers, shapes):
        return {path: number + settings["rank"] for path, number in super().count(settings, layers, shapes).items()}

    def peft_fields(self, settings, layers, shapes):
        return {**super().peft_fields(settings, layers, shapes), "peft_type": "PVERA"}

    def dynamics(self, session, settings):
        return Sampling(session, settings)

    @override
    def work(self, settings: Mapping, place: Place) -> Work:
        into = 2 * place.tokens * place.inputs * settings["rank"]  # mean and variance: A is twice as high
        return joined(Work(into, 0, into, place.tokens * settings["rank"]), super().work(settings, place))

    @override
    def stored(self, settings: Mapping, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        into, out = widest(settings, layers, shapes)
        return {"random matrices": 4 * settings["rank"] * (2 * into + out)}


class Sampling(Dynamics):
    """peft's layers sample in training mode, which autopeft leaves off: on for the steps, off for what is scored."""

    def __init__(self, session, settings):
        super().__init__(session, settings)
        self.layers = [m for m in session.model.modules() if hasattr(m, "pvera_generator")]

    def before_forward(self, step):
        import torch

        generator = torch.Generator().manual_seed(self.session.run.job.seed * 1_000_003 + step)
        for layer in self.layers:
            layer.pvera_generator["default"] = generator
            layer.training = True

    def before_update(self, step):
        for layer in self.layers:
            layer.training = False
