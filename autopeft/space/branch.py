"""Branch: one method of a space (or its combination) on one backbone: choices, layer sets, cost."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

from autopeft.backbone.shapes import BackboneShapes, canonical_roles
from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration, Scalar
from autopeft.methods import Method, get_method, learning_rates
from autopeft.procedures import Procedure
from autopeft.space.setting_values import OFF, check_rank, check_space_values


@dataclass(frozen=True)
class Branch:
    """The discrete choices below one value of the `method` parameter.

    parts: the methods that a configuration of this branch may hold; more than one for a combination.
    choices: setting -> values; a combination's settings carry their part's name: "prefix_tuning.prefix_length".
    layers: any (a frozen prefix, then one bit per layer above it), bits (one bit per layer), suffix, one (a single
    layer, the first above the frozen prefix), all or none.
    """

    name: str
    parts: tuple[str, ...]
    choices: tuple[tuple[str, tuple[Scalar, ...]], ...]
    layers: str
    depths: tuple[int, ...]  # values of frozen_layers
    shapes: BackboneShapes

    @property
    def learning_rate(self) -> tuple[float, float]:
        """The range of the parts' rates."""
        return learning_rates(self.parts)

    def configuration(
        self, settings: Mapping[str, Scalar], layers: Iterable[int], learning_rate: float
    ) -> Configuration:
        """Make a configuration, without the parts whose size is 0; what adapts nothing is the linear probe.

        Args:
            settings: a value for each of the branch's settings.
            layers: the adapted blocks.
            learning_rate: of the parameters, the head aside.
        """
        if len(self.parts) == 1:
            return Configuration.of(self.name, settings, layers, learning_rate)
        layers = tuple(layers)
        on = [p for p in self.parts if layers and is_on(p, settings)]
        if not on:
            return Configuration.of("head_only", {}, (), learning_rate)
        if len(on) == 1:
            return Configuration.of(
                on[0],
                {k.split(".", 1)[1]: v for k, v in settings.items() if k.startswith(on[0] + ".")},
                layers,
                learning_rate,
            )
        return Configuration.of(
            "+".join(on), {k: v for k, v in settings.items() if k.split(".")[0] in on}, layers, learning_rate
        )

    def completions(self, chosen: Mapping[str, Scalar]) -> Iterator[dict[str, Scalar]]:
        """Every full assignment of settings that agrees with those already chosen and leaves something on."""
        names = [n for n, _ in self.choices]
        for values in itertools.product(*((chosen[n],) if n in chosen else v for n, v in self.choices)):
            settings = dict(zip(names, values))
            if len(self.parts) == 1 or any(is_on(p, settings) for p in self.parts):
                yield settings

    @property
    def all_layers(self) -> tuple[int, ...]:
        """Every layer, none for a branch that adapts none."""
        return () if self.layers == "none" else tuple(range(self.shapes.num_layers))

    @property
    def smallest_layer_sets(self) -> tuple[tuple[int, ...], ...]:
        """The sets of layers of which every other is an extension."""
        if self.layers in ("all", "none"):
            return (self.all_layers,)
        top = self.shapes.num_layers
        if self.layers == "suffix":
            return (tuple(range(max(self.depths), top)),)
        return tuple((layer,) for layer in (range(top) if self.layers == "bits" else self.depths))

    @property
    def layer_sets(self) -> int:
        """How many non-empty sets of layers this branch reaches."""
        top = self.shapes.num_layers
        return {
            "any": sum(2 ** (top - 1 - f) for f in self.depths),
            "bits": 2**top - 1,
            "suffix": len(self.depths),
            "one": len(self.depths),
            "all": 1,
            "none": 1,
        }[self.layers]

    @property
    def configurations(self) -> int:
        """The exact number of different configurations, learning rate aside, the linear probe not counted for a combination."""
        if len(self.parts) == 1:
            return prod(len(v) for _, v in self.choices) * self.layer_sets
        alternatives = [self._alternatives(p) for p in self.parts]
        return (prod(on + off for on, off in alternatives) - all(off for _, off in alternatives)) * self.layer_sets

    def _alternatives(self, part: str) -> tuple[int, int]:
        """(settings with the part on, 1 if it can be off)."""
        mine = [(n.split(".", 1)[1], v) for n, v in self.choices if n.startswith(part + ".")]
        on = prod(len([x for x in v if not (n in OFF and x == 0)]) for n, v in mine)
        return on, int(any(n in OFF and 0 in v for n, v in mine))

    @property
    def adapts_nothing_too(self) -> bool:
        """Whether an assignment exists that leaves only the head to train."""
        return self.layers in ("none", "bits") or (
            len(self.parts) > 1 and all(self._alternatives(p)[1] for p in self.parts)
        )


def is_on(part: str, settings: Mapping[str, Scalar]) -> bool:
    """Whether a part of a combination has a size above 0."""
    return all(v != 0 for n, v in settings.items() if n.startswith(part + ".") and n.split(".", 1)[1] in OFF)


def method_choices(
    name: str,
    narrowed: Mapping[str, list],
    shapes: BackboneShapes,
    reference: int | None,
    where: str,
    combined: bool = False,
) -> dict[str, tuple]:
    """Collect a method's settings with the values that differ on this backbone.

    Args:
        name: the method.
        narrowed: the choices that the space's file gives, by setting.
        shapes: the backbone's sizes.
        reference: the hidden size for which widths in the file are meant, None to take them as they are.
        where: what holds the file's choices, for messages.
        combined: whether it is a part of a combination, which a size of 0 turns off.

    Returns:
        Setting -> its choices.

    Raises:
        AutopeftError: a setting is unknown, or has a value that it cannot have here.
    """
    choices = {}
    for key, values in setting_choices(get_method(name), narrowed, where, combined).items():
        if reference and key in OFF and key != "prefix_length":  # tokens, no share of the width
            values = tuple(v and max(1, v * shapes.hidden_size // reference) for v in values)
        elif key == "rank" and key in narrowed:
            check_rank(name, {"rank": max(values)}, shapes)
        choices[key] = distinct_targets(values, shapes) if key == "target_modules" else tuple(dict.fromkeys(values))
    return choices


def setting_choices(
    what: Method | Procedure, narrowed: Mapping[str, list], where: str, combined: bool = False
) -> dict[str, tuple]:
    """Collect the choices of a method's or a procedure's settings.

    Args:
        what: the method or procedure.
        narrowed: the choices that replace its own, by setting.
        where: what holds them, for messages.
        combined: whether it is a part of a combination, which a size of 0 turns off.

    Returns:
        Setting -> its choices.

    Raises:
        AutopeftError: a setting is unknown, or has a value that it cannot have.
    """
    read = check_space_values(what, narrowed, where, combined)
    return {key: read.get(key, own) for key, own in what.hyperparameters.items()}


def distinct_targets(values: Iterable[str], shapes: BackboneShapes) -> tuple[str, ...]:
    """The target sets that select different linears here (fused projections make some equal), empty ones left out."""
    seen: dict[tuple, str] = {}
    for value in values:
        try:
            seen.setdefault(shapes.select(canonical_roles(value)), canonical_roles(value))
        except AutopeftError:
            canonical_roles(value)  # an unknown name is the user's error; a role this backbone lacks is not
    return tuple(seen.values())
