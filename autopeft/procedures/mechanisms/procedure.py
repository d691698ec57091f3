"""The small interface every training procedure implements, and the registry."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.base.plugins import check_plugins
from autopeft.base.recipe import BETAS, CLIP, EPSILON, WEIGHT_DECAY
from autopeft.configuration import Configuration
from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.training import TrainingSession

if TYPE_CHECKING:
    import numpy as np
    import torch
    from peft import PeftModel


REGISTRY: dict[str, Procedure] = {}


class Procedure:
    """A way to train whatever a method trains. A subclass that sets `name` registers itself (one file each).

    `hyperparameters` maps a setting to its discrete choices, `defaults` gives each a value. A procedure acts through
    one of four places: `around` changes the attached model for the whole run, its evaluations included; `callback`
    acts between steps; `gradients` replaces the forward and backward pass of a step; `optimiser` what steps on them.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str]  # as the field writes it: "LISA"
    paper: ClassVar[str]  # "Pan et al. 2024, arXiv 2403.17919"
    hyperparameters: ClassVar[dict[str, tuple]] = {}
    defaults: ClassVar[dict] = {}
    needs_whole_backbone: ClassVar[bool] = False  # acts below the lowest adapted block: no prefix may be stored
    in_parts: ClassVar[bool] = True  # a step's gradients are the mean of those of its rows, so it can be taken in parts
    repeatable: ClassVar[bool] = True  # a forward pass of a step can be computed again and gives the same
    learning_rate_factor: ClassVar[float] = 1.0  # its steps want the method's range of rates times this
    clip: ClassVar[float | None] = CLIP  # largest norm of a step's gradients; None where they are taken as they are
    stepping: ClassVar[str] = (  # for cards
        f"AdamW, betas {BETAS[0]:g} and {BETAS[1]:g}, epsilon {EPSILON:g}, weight decay {WEIGHT_DECAY:g}, gradient norm "
        f"clipped at {CLIP:g}"
    )
    moments: ClassVar[int] = 2  # how many numbers its optimiser keeps for each trained one

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not vars(cls).get("name"):  # an inherited name is another procedure's
            return
        if cls.name in REGISTRY:
            raise AutopeftError(f"There is a procedure called '{cls.name}' already: give this one another name.")
        REGISTRY[cls.name] = cls()

    def refuses(self, methods: tuple[str, ...], shapes: BackboneShapes) -> str | None:
        """Why this procedure cannot train these methods on this backbone (one clause), or None if it can."""
        return None

    def around(
        self, model: PeftModel, configuration: Configuration, shapes: BackboneShapes
    ) -> AbstractContextManager[object]:
        """Change the attached model while it trains and is scored, for the length of a with block.

        Args:
            model: the attached model.
            configuration: what is trained.
            shapes: the backbone's sizes.
        """
        return nullcontext()

    def passes(self, settings: Settings) -> tuple[float, float]:
        """Forward and backward passes over a batch in one step, on average over a run."""
        return 1.0, 1.0

    def kept(self, configuration: Configuration, shapes: BackboneShapes) -> dict[int, float]:
        """Layer -> the share of each row's tokens that it runs on, where that is not all of them."""
        return {}

    def callback(self, session: TrainingSession, settings: Settings) -> Callback | None:
        """What happens between the steps of a run, None for nothing."""
        return None

    def gradients(self, session: TrainingSession, rows: np.ndarray, settings: Settings) -> torch.Tensor:
        """The forward and backward pass of a step.

        Args:
            session: the running training.
            rows: row numbers of the train split (B,).
            settings: a value for each of `hyperparameters`.

        Returns:
            The losses (K,), detached or not; the gradients are in place.
        """
        losses = session.losses(rows)
        losses.sum().backward()
        return losses

    def optimiser(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """What steps on the gradients; its state must be tensors by name for each parameter, which a run saves.

        Args:
            groups: of the method and of the head: "params", "lr", and "rate", the peak of its learning rate.
        """
        import torch

        return torch.optim.AdamW(groups, betas=BETAS, eps=EPSILON, weight_decay=WEIGHT_DECAY, fused=True)

    @property
    def changes_model(self) -> bool:
        """Whether the attached model computes something else while it trains and is scored."""
        return type(self).around is not Procedure.around

    @property
    def own_gradients(self) -> bool:
        """Whether the procedure replaces the forward and backward pass of a step."""
        return type(self).gradients is not Procedure.gradients

    @property
    def own_optimiser(self) -> bool:
        """Whether something else than AdamW steps on the gradients."""
        return type(self).optimiser is not Procedure.optimiser


def only_classes(shapes: BackboneShapes) -> str | None:
    """Why a procedure that reads the logits of classes does not fit the task; None if it does."""
    kind = shapes.kind
    return None if kind.classes else f"it is for classes, not for {kind.title}"


def only_rows(shapes: BackboneShapes) -> str | None:
    """Why a procedure that drops or moves tokens does not fit the task; None if it does."""
    kind = shapes.kind
    if kind.modality != "text":
        return f"it drops or moves words, and {kind.title} reads none"
    return None if kind.row_level else f"in {kind.title} tokens have labels of their own"


def get_procedure(name: str) -> Procedure:
    """The registered procedure of that name.

    Raises:
        AutopeftError: there is none, with the nearest name; or a plug-in cannot be loaded.
    """
    check_plugins()
    if name not in REGISTRY:
        raise AutopeftError(f"Unknown procedure '{name}'." + did_you_mean(name, REGISTRY))
    return REGISTRY[name]
