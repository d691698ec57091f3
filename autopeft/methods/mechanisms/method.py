"""The small interface every fine-tuning method implements, and the registry. Imports no torch."""

from collections.abc import Mapping
from typing import ClassVar

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.methods.mechanisms.work import Place, Work, dense

REGISTRY: dict[str, "Method"] = {}

TARGETS = ("query+value", "attention", "ffn", "all-linear")  # the choices most methods offer


class Method:
    """A way to choose what is trained. A subclass that sets `name` registers itself (one file per method).

    Every value a subclass states is a fact of the method: `hyperparameters` maps a setting to its discrete choices,
    in ascending order for sizes; `defaults` gives each setting a value for `autopeft count` and baselines;
    `learning_rate` is the range (low, high), sampled on a log scale.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str]  # as the field writes it: "(IA)^3"
    paper: ClassVar[str]  # "Hu et al. 2021, arXiv 2106.09685"
    hyperparameters: ClassVar[dict[str, tuple]] = {}
    defaults: ClassVar[dict] = {}
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
    packable: ClassVar[bool] = True  # runs can share one vmapped forward; not with a loss or dynamics of its own

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if cls.name:
            REGISTRY[cls.name] = cls()

    def refuses(self, shapes: BackboneShapes) -> str | None:
        """Why this method does not fit this backbone (one clause), or None if it does."""
        return None

    def refuses_company(self, other: str) -> str | None:
        """Why this method cannot be combined with the method of that name (one clause), or None if it can."""
        return None

    def count(self, settings: Mapping, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        """Trainable parameters per module path, without the task head, from the sizes alone."""
        raise NotImplementedError

    def peft_fields(self, settings: Mapping, layers: tuple[int, ...], shapes: BackboneShapes) -> dict:
        """The fields of the peft config that trains this: {"peft_type": "LORA", "r": 8, "target_modules": [...], ...}.

        Full module paths in target_modules, JSON types only; task_type and modules_to_save (the head) are added by
        `autopeft.methods.peft_fields`. The same dict is written by `autopeft export --to peft`.
        """
        raise NotImplementedError

    def part_fields(self, settings: Mapping, layers: tuple[int, ...], shapes: BackboneShapes) -> dict:
        """The same, when the method is one part of a combination."""
        return self.peft_fields(settings, layers, shapes)

    def before_attach(self, model, config, settings: Mapping, layers: tuple[int, ...], statistics) -> None:
        """Prepare the resident model for its peft config (CorDA's covariances); undone by detach."""

    def after_attach(self, model, settings: Mapping, layers: tuple[int, ...], statistics, seed: int) -> None:
        """Give the built adapters what no constructor can know (which weights of a matrix are trained)."""

    def dynamics(self, session, settings: Mapping):
        """What happens around the steps of a run (a `Dynamics`), or None."""
        return None

    def work(self, settings: Mapping, place: Place) -> Work:
        """What the method computes at one of its places; two dense products, unless a method says otherwise."""
        return dense(place)

    def stored(self, settings: Mapping, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        """Bytes that a saved adapter holds beside the trained numbers, by name; below zero for what is left out."""
        return {}

    def frozen_bytes(self, settings: Mapping, layers: tuple[int, ...], shapes: BackboneShapes) -> int:
        """Bytes that the adapters hold in memory beside the trained numbers."""
        return sum(max(0, size) for size in self.stored(settings, layers, shapes).values())

    def extra_keys(self, settings: Mapping) -> int:
        """Keys and values that every adapted attention reads beside those of the text."""
        return 0

    def extra_tokens(self, settings: Mapping) -> int:
        """Tokens that stand before every row."""
        return 0

    def extra_loss(self, model, settings: Mapping):
        """A regulariser added to the task loss at every step (a scalar tensor), or None."""
        return None


def get_method(name: str) -> Method:
    """The registered method of that name. Raises AutopeftError with the nearest name."""
    if name not in REGISTRY:
        raise AutopeftError(f"Unknown method '{name}'." + did_you_mean(name, REGISTRY))
    return REGISTRY[name]
