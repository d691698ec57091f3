"""PVeRA: VeRA whose scaled projection is the mean and variance of a normal that is drawn from in training."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.training import TrainingSession
from autopeft.methods.mechanisms.work import Place, Work, joined
from autopeft.methods.vera import Vera, widest


class Pvera(Vera):
    """dy = diag(b) B z with z ~ N(mu, sigma^2) and (mu, log sigma^2) = diag(d) A x; scored and merged with z = mu."""

    name = "pvera"
    title = "PVeRA"
    family = "very few numbers"
    paper = "2025, arXiv 2512.07703"
    in_parts = False
    repeatable = False
    packable = False

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {path: number + settings["rank"] for path, number in super().count(settings, layers, shapes).items()}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {**super().peft_fields(settings, layers, shapes), "peft_type": "PVERA"}

    @override
    def callback(self, session: TrainingSession, settings: Settings) -> Callback | None:
        return Sampling(session, settings)

    @override
    def work(self, settings: Settings, place: Place) -> Work:
        into = 2 * place.tokens * place.inputs * settings["rank"]  # mean and variance: A is twice as high
        return joined(Work(into, 0, into, place.tokens * settings["rank"]), super().work(settings, place))

    @override
    def stored(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        into, out = widest(settings, layers, shapes)
        return {"random matrices": 4 * settings["rank"] * (2 * into + out)}


class Sampling(Callback):
    """peft's layers sample in training mode, which autopeft leaves off: on for the steps, off for what is scored."""

    def __init__(self, session: TrainingSession, settings: Settings) -> None:
        super().__init__(session, settings)
        self.layers = [m for m in session.model.modules() if hasattr(m, "pvera_generator")]

    @override
    def before_forward(self, step: int) -> None:
        import torch

        generator = torch.Generator().manual_seed(self.session.seed * 1_000_003 + step)
        for layer in self.layers:
            layer.pvera_generator["default"] = generator
            layer.training = True

    @override
    def before_update(self, step: int) -> None:
        for layer in self.layers:
            layer.training = False
