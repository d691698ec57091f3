"""KaSA: the smallest singular directions of a weight are dropped and learnt anew with their own values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.lora import ALPHA
from autopeft.methods.mechanisms.decomposed import Decomposed
from autopeft.methods.mechanisms.linears_only import LinearsOnly
from autopeft.methods.mechanisms.method import Settings

if TYPE_CHECKING:
    import torch
    from peft import PeftModel


class Kasa(LinearsOnly, Decomposed):
    """dW = B diag(sigma) A on a weight without its r smallest components; two regularisers keep it an SVD.

    beta: of sum(sigma^2), gamma: of ||B^T B - I||_F + ||A A^T - I||_F (eq. 9-11). Both are averaged over the adapted
    modules, where peft sums, so that their size does not depend on how many there are.
    """

    name = "kasa"
    title = "KaSA"
    family = "low rank"
    paper = "Wang et al. 2024, arXiv 2412.06071"
    hyperparameters = {**Decomposed.hyperparameters, "beta": (1e-4, 1e-2), "gamma": (1e-4, 1e-2)}
    defaults = {**Decomposed.defaults, "beta": 1e-4, "gamma": 1e-4}
    learning_rate = (5e-5, 1e-2)
    zero_start = False  # the truncation moves the outputs a little
    rewrites_base = True
    packable = False
    init = True
    spare = 1  # one component of the weight has to stay
    alpha = ALPHA

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        chosen = {x.path: x for x in shapes.select(settings["target_modules"], layers)}
        factors = super().count(settings, layers, shapes)
        return {path: number + self.rank(settings, chosen[path]) for path, number in factors.items()}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        regularisers = {"beta": settings["beta"], "gamma": settings["gamma"]}
        return {**super().peft_fields(settings, layers, shapes), "kasa_config": regularisers}

    @override
    def extra_loss(self, model: PeftModel, settings: Settings) -> torch.Tensor | None:
        import torch
        from peft.tuners.lora.variants import _kasa_layer_regularization_loss as regulariser

        layers = [m for m in model.modules() if hasattr(m, "lora_diag")]
        terms = [regulariser(m, n, settings["beta"], settings["gamma"]) for m in layers for n in m.lora_diag]
        return torch.stack(terms).mean() if terms else None
