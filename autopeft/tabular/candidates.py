"""What a benchmark of tasks trains: relative configurations of every method, spread over the logarithm of their size."""

import math
from dataclasses import dataclass
from itertools import cycle, product

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.costs.flops import train_flops
from autopeft.costs.step import Step
from autopeft.methods import REGISTRY, count, count_per_module, get_method
from autopeft.space import build_space
from autopeft.space.branch import Branch
from autopeft.space.relative import RATE, RelativeConfiguration
from autopeft.space.space_file import SpaceFile
from autopeft.uniform_lora import uniform_lora

SMALLEST, LARGEST = 100, 0.01  # trainable numbers; share of the backbone
SHARES = (6e-3, 6e-4, 6e-5)  # of the backbone's parameters: a method gets a candidate near each that it can reach
SHIFTS = (0.0, 0.25, -0.25, 0.12, -0.12)  # decades by which the shares of the methods in turn are shifted
REACH = 0.5  # decades from a share beyond which a method does not reach it
NEAR = 0.15  # decades within which one size is as good as another, so that more layers, more modules, usual settings are preferred
STEP, SLOWEST = Step(16, 32), 3.0  # rows and tokens of a step; times uniform LoRA's operations
DEPTHS = (1.0, 0.5, 1 / 6)
LORA = (
    *(("query+value", r) for r in (1, 8, 16)),
    *(("attention", r) for r in (2, 8)),
    *(("all-linear", r) for r in (1, 2, 4)),
)


@dataclass(frozen=True)
class Sized:
    """A configuration on the backbone from which candidates are taken, and its logarithmic size."""

    configuration: Configuration
    size: float
    depth: float
    modules: int  # that hold something trained
    usual: int  # settings at their default


def candidates(shapes: BackboneShapes) -> list[RelativeConfiguration]:
    """The candidates of a benchmark of tasks; any beginning of the list is spread over methods and sizes.

    Args:
        shapes: The backbone on which sizes are counted; elsewhere the same shares of width and depth are taken.
    """
    space = build_space("every method", SpaceFile(methods={name: {} for name in REGISTRY}), shapes)
    branches = [b for b in space.branches if b.layers != "none"]
    rows = [near_shares(sized(b), shift) for b, shift in zip(branches, cycle(SHIFTS))]
    number = len(SHARES)
    turns = [row[(i + turn) % number] for turn in range(number) for i, row in enumerate(rows)]
    found = [*lora_grid(shapes), *(c for c in turns if c is not None)]
    return list(dict.fromkeys(RelativeConfiguration.of(c, shapes) for c in found))


def lora_grid(shapes: BackboneShapes) -> list[Configuration]:
    """LoRA on every layer over ranks and targets: what a grid search by hand would try."""
    every = range(shapes.num_layers)
    defaults = get_method("lora").defaults
    return [Configuration.of("lora", {**defaults, "rank": r, "target_modules": t}, every, 1e-3) for t, r in LORA]


def sized(branch: Branch) -> list[Sized]:
    """Every configuration of a method on the upper layers within the range of sizes."""
    method, top, shapes = get_method(branch.name), branch.shapes.num_layers, branch.shapes
    sets = {depth: tuple(range(top - max(1, round(depth * top)), top)) for depth in DEPTHS}
    sets = (
        {1.0: branch.all_layers}
        if branch.layers == "all"
        else {1 / top: (top - 1,)}
        if branch.layers == "one"
        else sets
    )
    found = []
    for settings, (depth, layers) in product(branch.completions({}), sets.items()):
        made = branch.configuration(settings, layers, RATE)
        numbers, modules = count(made, shapes), len(count_per_module(made, shapes))
        if SMALLEST <= numbers <= LARGEST * shapes.backbone_parameters and is_quick(made, shapes):
            usual = sum(method.defaults.get(k) == v for k, v in settings.items())
            found.append(Sized(made, math.log10(numbers / shapes.backbone_parameters), depth, modules, usual))
    return found


def is_quick(configuration: Configuration, shapes: BackboneShapes) -> bool:
    """Whether a step takes no more than a few times the operations of uniform LoRA's."""
    return train_flops(configuration, shapes, STEP) <= SLOWEST * train_flops(uniform_lora(shapes, None), shapes, STEP)


def near_shares(sizes: list[Sized], shift: float) -> list[Configuration | None]:
    """For each of SHARES, shifted by so many decades, the configuration nearest to it; None where there is none within reach."""
    found: list[Configuration | None] = []
    for share in (math.log10(x) + shift for x in SHARES):
        nearest = min((abs(x.size - share) for x in sizes), default=math.inf)
        near = [x for x in sizes if abs(x.size - share) <= max(nearest, NEAR)]
        best = max(near, key=lambda x: (x.depth, x.modules, x.usual, -abs(x.size - share)), default=None)
        found.append(best.configuration if best and nearest <= REACH else None)
    return found
