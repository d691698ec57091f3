"""RelativeConfiguration: a configuration without its rate, written by the backbone's width and depth, so that it carries over."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration, Scalar
from autopeft.methods import get_method
from autopeft.space.branch import Branch

RATE = 1e-3  # of a configuration that has none yet
SIZE = re.compile(r"width/([\d.e+-]+)")
HALVINGS = 8  # of a size before layers are left out instead


@dataclass(frozen=True)
class RelativeConfiguration:
    """A method, its settings with sizes as shares of the width, and the share of the layers it adapts, from the top.

    Attributes:
        method: its registry name.
        settings: (name, value) pairs sorted by name. A size reads "width/48": 8 at a width of 384.
        depth: adapted layers as a share of all; 0 adapts none.

    Example:
        >>> from autopeft import Configuration
        >>> from autopeft.backbone.sizes import shapes_of
        >>> wide = Configuration.of("lora", {"rank": 8, "target_modules": "query+value"}, [3, 4, 5], 1e-3)
        >>> str(RelativeConfiguration.of(wide, shapes_of("minilm-l6")))
        'lora(rank=width/48, target_modules=query+value), upper 1/2 of the layers'
    """

    method: str
    settings: tuple[tuple[str, Scalar], ...]
    depth: float

    @classmethod
    def of(cls, configuration: Configuration, shapes: BackboneShapes) -> "RelativeConfiguration":
        """Write a configuration of one method relative to its backbone; which layers these are is lost, not how many."""
        sizes = sizes_of(configuration.method)
        settings = tuple(
            (k, f"width/{shapes.hidden_size / v:.4g}" if k in sizes and isinstance(v, int) else v)
            for k, v in configuration.settings
        )
        return cls(configuration.method, settings, round(len(configuration.layers) / shapes.num_layers, 4))

    def on(self, branch: Branch) -> Configuration:
        """The nearest configuration that a branch of a space has on its backbone, with a rate of 1e-3.

        Args:
            branch: of this method.
        """
        choices, wanted = dict(branch.choices), dict(self.settings)
        settings = {name: self._nearest(wanted.get(name), choices[name], branch) for name in choices}
        return branch.configuration(settings, self._layers(branch), RATE)

    def within(self, branch: Branch, fits: Callable[[Configuration], bool]) -> Configuration | None:
        """The same, made smaller until it fits: halved sizes first, then half of the layers; None if nothing does.

        Args:
            branch: of this method.
            fits: whether a configuration keeps to the limits.
        """
        for depth, half in product((1.0, 0.5, 0.25, 0.0), range(HALVINGS)):
            smaller = replace(self, depth=depth * self.depth, settings=tuple(halved(s, half) for s in self.settings))
            if fits(made := smaller.on(branch)):
                return made
        return None

    def _layers(self, branch: Branch) -> tuple[int, ...]:
        top = branch.shapes.num_layers
        if branch.layers in ("all", "none"):
            return branch.all_layers
        adapted = 1 if branch.layers == "one" else max(1, round(self.depth * top))
        return tuple(range(top - adapted, top if branch.layers != "one" else top - adapted + 1))

    def _nearest(self, wanted: Scalar | None, choices: tuple[Scalar, ...], branch: Branch) -> Scalar:
        """The choice nearest to a size on a log scale; of target modules the one that selects the same linears."""
        if isinstance(wanted, str) and (share := SIZE.fullmatch(wanted)):
            size = branch.shapes.hidden_size / float(share[1])
            return min(choices, key=lambda v: abs(math.log(max(float(v), 0.5) / size)))
        if wanted in choices or wanted is None:
            return choices[0] if wanted is None else wanted
        same = [c for c in choices if selects(c, branch.shapes) == selects(wanted, branch.shapes)]
        return same[0] if same else choices[-1]

    def to_json(self) -> dict[str, Any]:
        """As plain dicts and numbers."""
        return {"method": self.method, "settings": dict(self.settings), "depth": self.depth}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "RelativeConfiguration":
        """Read what `to_json` wrote."""
        return cls(data["method"], tuple(sorted(data["settings"].items())), data["depth"])

    def __str__(self) -> str:
        inner = ", ".join(f"{k}={v}" for k, v in self.settings)
        share = "" if self.depth in (0, 1) else f", upper {fraction(self.depth)} of the layers"
        return f"{self.method}({inner}){share}" if inner else f"{self.method}{share}"


def halved(setting: tuple[str, Scalar], times: int) -> tuple[str, Scalar]:
    """A setting with its size, if it is one, divided by two so many times."""
    name, value = setting
    share = SIZE.fullmatch(value) if isinstance(value, str) else None
    return (name, f"width/{float(share[1]) * 2**times:.4g}") if share else setting


def sizes_of(method: str) -> frozenset[str]:
    """The settings of a method that are sizes: whole numbers with several choices."""
    choices = get_method(method).hyperparameters
    return frozenset(
        name
        for name, values in choices.items()
        if all(isinstance(v, int) and not isinstance(v, bool) and v > 0 for v in values)
    )


def selects(targets: Scalar, shapes: BackboneShapes) -> tuple | None:
    """The linears that target modules name on a backbone; None for what names none."""
    try:
        return shapes.select(str(targets))
    except AutopeftError:
        return None


def fraction(share: float) -> str:
    """0.5 -> "1/2"."""
    return f"1/{1 / share:.0f}" if abs(1 / share - round(1 / share)) < 0.01 else f"{share:.0%}"
