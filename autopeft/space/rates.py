"""A configuration -> the learning rate it is expected to want, by a rule that was fitted on a benchmark of tasks.

log10(rate) = centre of the method + a slope for each of a few features of the configuration, the same for all methods,
+ a slope for the length of the run and one for its batch. A method that the benchmark did not hold has its centre at a
fixed place in its own range. For how the best rate moves with the size of an update see Chen et al. 2026 (arXiv
2602.06204), with the length Bjorck et al. 2024 (arXiv 2409.19913), with the batch under Adam Malladi et al. 2022 (arXiv
2205.10287).
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
from autopeft.base.run_length import RunLength
from autopeft.configuration import Configuration
from autopeft.methods import count_per_module, learning_rates
from autopeft.procedures import get_procedure

FILE = Path(__file__).with_name("rates.yaml")
PLACE = 0.65  # in a method's range, on a log scale: where rates lie of which nothing else is known
BY_RANGE = ("full", "head_only")  # of which the benchmark says nothing and whose size says nothing: the range alone
STEPS_SLOPE, BATCH_SLOPE = (
    -0.3,
    0.5,
)  # decades of rate for a decade of steps (Bjorck et al.), of rows in a batch (Malladi et al.)


BENCHMARK = RunLength(250, 16)  # of which the offsets and slopes are said


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

    def rate(self, configuration: Configuration, shapes: BackboneShapes, length: RunLength) -> float:
        """The rate that a configuration is expected to want, whatever rate it has.

        Args:
            configuration: of one method or of several.
            shapes: of its backbone.
            length: of the run.
        """
        shift = by_length(length)
        if not set(configuration.methods) & set(BY_RANGE):
            own = [self.offsets.get(name, 0.0) for name in configuration.methods]
            found = features(configuration, shapes)
            slopes = sum(slope * (found[name] - self.means[name]) for name, slope in self.slopes.items())
            shift += self.offset + sum(own) / len(own) + slopes
        return middle(configuration) * 10**shift * get_procedure(configuration.procedure).learning_rate_factor

    def around(self, centre: float, number: int) -> tuple[float, ...]:
        """Rates to try side by side: where normal quantiles of equal weight lie around an expected one.

        Args:
            centre: the expected rate.
            number: how many.
        """
        places = [NormalDist(0, self.spread).inv_cdf((i + 0.5) / number) for i in range(number)]
        return tuple(float(f"{centre * 10**place:.6g}") for place in places)

    def to_json(self) -> dict[str, Any]:
        """As plain dicts and numbers of three digits."""
        kept = {k: {n: round(v, 3) for n, v in getattr(self, k).items()} for k in ("offsets", "slopes", "means")}
        return {"offset": round(self.offset, 3), **kept, "spread": round(self.spread, 3)}


@cache
def rate_rule() -> RateRule:
    """The rule that comes with autopeft."""
    return RateRule(**yaml.safe_load(FILE.read_text(encoding="utf-8")))


def by_length(length: RunLength) -> float:
    """Decades by which the best rate of a run lies from that of one of the benchmark's length."""
    steps, batch = length.steps / BENCHMARK.steps, length.batch_size / BENCHMARK.batch_size
    return STEPS_SLOPE * math.log10(steps) + BATCH_SLOPE * math.log10(batch)


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
