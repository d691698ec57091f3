"""The small interface every fine-tuning method implements, and the registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.base.plugins import check_plugins
from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.training import TrainingSession
from autopeft.methods.mechanisms.work import Place, Work, dense

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig, PeftModel
    from torch import nn

    from autopeft.methods.mechanisms.statistics import Statistics


REGISTRY: dict[str, Method] = {}

# A configuration's settings by name. Each is a str, int, float or bool (a Scalar), of the type that the method's
# `hyperparameters` offer under that name, which no checker knows.
Settings = Mapping[str, Any]

TARGETS = ("query+value", "attention", "ffn", "all-linear")  # the choices most methods offer

FAMILIES = {  # what is trained; `autopeft methods` and docs/methods.md group by it
    "low rank": "an update of each weight that is made of thin matrices",
    "very few numbers": "vectors, shared banks, coefficients, biases or norms: down to fewer numbers than LoRA of rank 1",
    "orthogonal": "rotations or reflections of a linear's inputs",
    "adapter": "bottleneck modules behind or beside the backbone's own",
    "prompt": "what the attention reads beside the text: prefixes, prompts, queries, and gates on earlier tokens",
    "sparse": "single entries of the weights",
    "full": "whole weights of the backbone, or none of them (the linear probe)",
    "other": "none of these; the value of a method that states no family",
}


class Method:
    """A way to choose what is trained. A subclass that sets `name` registers itself (one file per method).

    Every value a subclass states is a fact of the method: `hyperparameters` maps a setting to its discrete choices,
    in ascending order for sizes; `defaults` gives each setting a value for `autopeft count` and baselines;
    `learning_rate` is the range (low, high), sampled on a log scale.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str]  # as the field writes it: "(IA)^3"
    family: ClassVar[str] = "other"  # one of FAMILIES
    paper: ClassVar[str]  # "Hu et al. 2021, arXiv 2106.09685"
    hyperparameters: ClassVar[dict[str, tuple]] = {}
    defaults: ClassVar[dict] = {}
    absent: ClassVar[dict] = {}  # of settings younger than stored configurations: what one without them means
    learning_rate: ClassVar[tuple[float, float]]
    layers: ClassVar[str] = "any"  # layer sets it can adapt: any | suffix | one | all | none
    zero_start: ClassVar[bool] = True  # bit-equal to the base model before the first step
    mergeable: ClassVar[bool] = False  # the adapters can be merged into the weights
    rewrites_base: ClassVar[bool] = False  # attaching changes frozen weights (PiSSA and its like); detach undoes it
    bypasses_linear: ClassVar[bool] = False  # multiplies by the weight itself: the adapted linear is not called
    inside_attention: ClassVar[bool] = False  # takes the place of the attention function, which one at a time can
    needs_statistics: ClassVar[bool] = False  # reads `Statistics` (gradients, covariances) when it is attached
    in_parts: ClassVar[bool] = True  # a step's gradients are the mean of those of its rows, so it can be taken in parts
    repeatable: ClassVar[bool] = True  # a forward pass of a step can be computed again and gives the same
    quantised_base: ClassVar[bool] = False  # needs of a linear nothing but its output, so its weight may be rounded
    trains_weights: ClassVar[bool] = False  # trains linears' own weights, so their dense gradients are computed
    turns_input: ClassVar[tuple[str, ...]] = ()  # roles of the adapted linears whose inputs it changes first
    beside_backbone: ClassVar[bool] = False  # nothing of the backbone lies between what it trains and the head
    packable: ClassVar[bool] = True  # runs can share one vmapped forward; not with a loss or a callback of its own

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not vars(cls).get("name"):  # an inherited name is another method's
            return
        if cls.name in REGISTRY:
            raise AutopeftError(f"There is a method called '{cls.name}' already: give this one another name.")
        REGISTRY[cls.name] = cls()

    def refuses(self, shapes: BackboneShapes) -> str | None:
        """Why this method does not fit this backbone (one clause), or None if it does."""
        return None

    def refuses_company(self, other: str) -> str | None:
        """Why this method cannot be combined with the method of that name (one clause), or None if it can."""
        return None

    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        """Trainable parameters, the task head left out, from the sizes alone.

        Args:
            settings: a value for each of `hyperparameters`.
            layers: the adapted blocks, ascending.
            shapes: the backbone's sizes.

        Returns:
            Module path -> how many numbers are trained there.
        """
        raise NotImplementedError

    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict:
        """The fields of the peft config that trains this; the same dict is written by `autopeft export --to peft`.

        Args:
            settings: a value for each of `hyperparameters`.
            layers: the adapted blocks, ascending.
            shapes: the backbone's sizes.

        Returns:
            JSON types only, with full module paths: {"peft_type": "LORA", "r": 8, "target_modules": [...], ...}.
            task_type and modules_to_save (the head) are added by `autopeft.methods.peft_fields`.
        """
        raise NotImplementedError

    def part_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict:
        """The fields of the peft config when the method is one part of a combination.

        Args:
            settings: a value for each of `hyperparameters`.
            layers: the adapted blocks, ascending.
            shapes: the backbone's sizes.

        Returns:
            As `peft_fields`, which they are unless a method says otherwise.
        """
        return self.peft_fields(settings, layers, shapes)

    def before_attach(
        self,
        model: nn.Module,
        config: PeftConfig,
        settings: Settings,
        layers: tuple[int, ...],
        statistics: Statistics | None,
    ) -> None:
        """Prepare the resident model or the peft config (CorDA's covariances); undone by detach.

        Args:
            model: the resident model, nothing attached.
            config: the peft config that is about to be built; may be written into.
            settings: a value for each of `hyperparameters`.
            layers: the adapted blocks, ascending.
            statistics: never None where `needs_statistics` is set.
        """

    def after_attach(
        self, model: PeftModel, settings: Settings, layers: tuple[int, ...], statistics: Statistics | None, seed: int
    ) -> None:
        """Give the built adapters what no constructor can know (which weights of a matrix are trained).

        Args:
            model: the peft model around the resident one.
            settings: a value for each of `hyperparameters`.
            layers: the adapted blocks, ascending.
            statistics: never None where `needs_statistics` is set.
            seed: of whatever is drawn.
        """

    def callback(self, session: TrainingSession, settings: Settings) -> Callback | None:
        """What happens between the steps of a run, None for nothing."""
        return None

    def work(self, settings: Settings, place: Place) -> Work:
        """What the method computes at one of its places; two dense products, unless a method says otherwise."""
        return dense(place)

    def stored(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        """Bytes that a saved adapter holds beside the trained numbers, by name; below zero for what is left out.

        Args:
            settings: a value for each of `hyperparameters`.
            layers: the adapted blocks, ascending.
            shapes: the backbone's sizes.
        """
        return {}

    def frozen_bytes(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> int:
        """Bytes that the adapters hold in memory beside the trained numbers.

        Args:
            settings: a value for each of `hyperparameters`.
            layers: the adapted blocks, ascending.
            shapes: the backbone's sizes.
        """
        return sum(max(0, size) for size in self.stored(settings, layers, shapes).values())

    def extra_keys(self, settings: Settings) -> int:
        """Keys and values that every adapted attention reads beside those of the text."""
        return 0

    def extra_tokens(self, settings: Settings) -> int:
        """Tokens that stand before every row."""
        return 0

    def extra_loss(self, model: PeftModel, settings: Settings) -> torch.Tensor | None:
        """A regulariser added to the task loss at every step (a scalar tensor), or None."""
        return None


def get_method(name: str) -> Method:
    """The registered method of that name.

    Raises:
        AutopeftError: there is none, with the nearest name; or a plug-in cannot be loaded.
    """
    check_plugins()
    if name not in REGISTRY:
        raise AutopeftError(f"Unknown method '{name}'." + did_you_mean(name, REGISTRY))
    return REGISTRY[name]
