"""AdaLoRA: LoRA in singular-value form whose ranks move, while it trains, to the matrices that need them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.lora import ALPHA
from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.method import TARGETS, Method, Settings
from autopeft.methods.mechanisms.training import TrainingSession

if TYPE_CHECKING:
    import torch
    from peft import PeftModel


WARM_UP = 0.1  # share of the steps at the full initial rank
LAST = 0.3  # share of the steps with the final ranks
ALLOCATIONS = 50  # about how often ranks are taken away in a run


class AdaLora(Method):
    """dW = alpha / r B diag(E) A; every matrix starts with 1.5 times the rank, and a third of all triplets is dropped.

    rank is the average at the end. Importance is the smoothed |w dL/dw| times its uncertainty (eq. 8-11); the budget
    falls as a cubic (eq. 12). orthogonality weighs the mean of ||A A^T - I||_F and ||B^T B - I||_F over all factors.
    """

    name = "adalora"
    title = "AdaLoRA"
    family = "low rank"
    paper = "Zhang et al. 2023, arXiv 2303.10512"
    hyperparameters = {"rank": (2, 4, 8, 16, 32), "target_modules": TARGETS, "orthogonality": (0.1, 0.5)}
    defaults = {"rank": 8, "target_modules": "query+value", "orthogonality": 0.1}
    learning_rate = (3e-4, 2e-2)  # A and B start at 0.02 and E at 0, so the first steps move little
    quantised_base = True
    mergeable = True
    packable = False

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        first = initial_rank(settings["rank"])
        return {
            x.path: first * (x.in_features + x.out_features + 1)
            for x in shapes.select(settings["target_modules"], layers)
        }

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "ADALORA",
            "init_r": initial_rank(settings["rank"]),
            "target_r": settings["rank"],
            "lora_alpha": ALPHA,
            "orth_reg_weight": 0.0,  # peft adds it where a model is given labels; extra_loss adds it always, and once
            **schedule(1000),  # a run puts its own steps in
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    @override
    def refuses_company(self, other: str) -> str | None:
        return "AdaLoRA shares its ranks out among the modules of one tuner: leave adalora out"

    @override
    def callback(self, session: TrainingSession, settings: Settings) -> Callback | None:
        return RankAllocation(session, settings)

    @override
    def extra_loss(self, model: PeftModel, settings: Settings) -> torch.Tensor | None:
        import torch

        def distance(gram: torch.Tensor) -> torch.Tensor:
            return torch.linalg.norm(gram - torch.eye(len(gram), device=gram.device, dtype=gram.dtype))

        layers = [m for m in model.modules() if hasattr(m, "lora_E")]
        grams = [p @ p.T for m in layers for p in m.lora_A.values()]
        grams += [p.T @ p for m in layers for p in m.lora_B.values()]
        return settings["orthogonality"] * torch.stack([distance(gram) for gram in grams]).mean()


class RankAllocation(Callback):
    """peft's allocator on the run's own schedule; what it remembers is saved with the run."""

    def __init__(self, session: TrainingSession, settings: Settings) -> None:
        super().__init__(session, settings)
        self.tuner = session.model.base_model
        self.config = session.model.peft_config["default"]
        for name, value in schedule(session.steps).items():
            setattr(self.config, name, value)

    @override
    def after_update(self, step: int) -> None:
        self.tuner.update_and_allocate(step + 1)

    @override
    def state(self) -> dict[str, torch.Tensor]:
        import torch

        allocator, kept = self.tuner.rankallocator, self.config.rank_pattern or {}
        tensors = {f"importance.{name}": value for name, value in allocator.exp_avg_ipt.items()}
        tensors |= {f"uncertainty.{name}": value for name, value in allocator.exp_avg_unc.items()}
        return tensors | {f"kept.{name}": torch.tensor(value) for name, value in kept.items()}

    @override
    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        allocator, parameters = self.tuner.rankallocator, dict(self.tuner.model.named_parameters())
        kept = {}
        for key, value in tensors.items():
            what, _, name = key.partition(".")
            value = value.to(parameters[name].device)
            if what == "kept":
                kept[name] = value.tolist()
            elif what == "importance":
                allocator.exp_avg_ipt[name] = value
                allocator.ipt[name] = value  # overwritten before it is read; its being there says that the rest is
            else:
                allocator.exp_avg_unc[name] = value
        self.config.rank_pattern = kept or None


def initial_rank(rank: int) -> int:
    """One and a half times the final rank, as in the paper (12 for 8)."""
    return rank + -(-rank // 2)


def schedule(steps: int) -> dict:
    """The phases of a run of that many steps, in peft's names."""
    return {
        "total_step": steps,
        "tinit": int(WARM_UP * steps),
        "tfinal": int(LAST * steps),
        "deltaT": max(1, steps // ALLOCATIONS),
    }
