"""A configuration -> the learning rate it is expected to want, by a rule that was fitted on a benchmark of tasks.

log10(rate) = centre of the method + a slope for each of a few features of the configuration, the same for all methods.
A method that the benchmark did not hold has its centre at a fixed place in its own range. For how the best rate moves
with the size of an update see Chen et al. 2026 (arXiv 2602.06204).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import NormalDist
from typing import Any

import yaml

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.methods import count_per_module, learning_rates
from autopeft.procedures import get_procedure

FILE = Path(__file__).with_name("rates.yaml")
PLACE = 0.65  # in a method's range, on a log scale: where rates lie of which nothing else is known


@dataclass(frozen=True)
class RateRule:
    """Where the best learning rates lie.

    Attributes:
        offset: decades from the place in its range, of any method.
        offsets: method -> decades from there.
        slopes: feature -> decades of rate for each unit of it.
        means: feature -> its mean over the benchmark, where it shifts nothing.
        spread: standard deviation of what the rule does not explain, in decades.
    """

    offset: float
    offsets: Mapping[str, float]
    slopes: Mapping[str, float]
    means: Mapping[str, float]
    spread: float

    def rate(self, configuration: Configuration, shapes: BackboneShapes) -> float:
        """The rate that a configuration is expected to want, whatever rate it has.

        Args:
            configuration: of one method or of several.
            shapes: of its backbone.
        """
        own = [self.offsets.get(name, 0.0) for name in configuration.methods]
        found = features(configuration, shapes)
        shift = sum(slope * (found[name] - self.means[name]) for name, slope in self.slopes.items())
        factor = get_procedure(configuration.procedure).learning_rate_factor
        return middle(configuration) * 10 ** (self.offset + sum(own) / len(own) + shift) * factor

    def around(self, configuration: Configuration, shapes: BackboneShapes, number: int) -> tuple[float, ...]:
        """Rates to try side by side: where normal quantiles of equal weight lie around the expected one.

        Args:
            configuration: whose rates.
            shapes: of its backbone.
            number: how many.
        """
        places = [NormalDist(0, self.spread).inv_cdf((i + 0.5) / number) for i in range(number)]
        centre = self.rate(configuration, shapes)
        return tuple(float(f"{centre * 10**place:.6g}") for place in places)

    def to_json(self) -> dict[str, Any]:
        """As plain dicts and numbers of three digits."""
        kept = {k: {n: round(v, 3) for n, v in getattr(self, k).items()} for k in ("offsets", "slopes", "means")}
        return {"offset": round(self.offset, 3), **kept, "spread": round(self.spread, 3)}


@cache
def rate_rule() -> RateRule:
    """The rule that comes with autopeft."""
    return RateRule(**yaml.safe_load(FILE.read_text(encoding="utf-8")))


def middle(configuration: Configuration) -> float:
    """The usual place in the range of rates of a configuration's methods."""
    low, high = learning_rates(configuration.methods)
    return float(low * (high / low) ** PLACE)


def features(configuration: Configuration, shapes: BackboneShapes) -> dict[str, float]:
    """What moves the best rate: the logarithms of how many modules are adapted, and of the numbers in each by width."""
    modules = [n for n in count_per_module(configuration, shapes).values() if n]
    if not modules:
        return {"modules": 0.0, "size": 0.0}
    return {
        "modules": math.log10(len(modules)),
        "size": math.log10(sum(modules) / len(modules) / shapes.hidden_size),
    }
