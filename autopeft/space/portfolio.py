"""The portfolio: configurations learnt from a benchmark of tasks, with which every search begins, cut to its limits."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.space.default_configurations import default_configurations
from autopeft.space.inverse import parameters_of
from autopeft.space.relative import RelativeConfiguration
from autopeft.space.search_space import SearchSpace
from autopeft.uniform_lora import uniform_lora

FILE = Path(__file__).with_name("portfolio.yaml")


@dataclass(frozen=True)
class Portfolio:
    """What a search begins with.

    Attributes:
        entries: the best first.
        methods: that the benchmark held, so that one without an entry is known to be no better than those with one.
    """

    entries: tuple[RelativeConfiguration, ...] = ()
    methods: frozenset[str] = frozenset()


@cache
def portfolio() -> Portfolio:
    """The portfolio that comes with autopeft."""
    data = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return Portfolio(tuple(map(RelativeConfiguration.from_json, data["entries"])), frozenset(data["methods"]))


def first_configurations(space: SearchSpace, begin_with: Portfolio) -> list[Configuration]:
    """What a search of a space tries first.

    Args:
        space: on its backbone and within its limits.
        begin_with: a portfolio; an empty one gives every method's default.

    Returns:
        The entries that the space has, in their order, made smaller where they exceed a limit, with uniform LoRA as the
        second; then the default configuration of each method that the portfolio's benchmark did not hold.
    """
    branches = {b.name: b for b in space.affordable() if len(b.parts) == 1}
    meets = space.limits.meet if space.limits else lambda configuration: True
    uniform = space.limits.setting.uniform_lora if space.limits else uniform_lora(space.shapes, None)
    offered = [e for e in begin_with.entries if e.method in branches]
    if "lora" in branches and offered:
        offered.insert(1, RelativeConfiguration.of(uniform, space.shapes))
    cut = [e.within(branches[e.method], meets) for e in offered]
    found = [c for c in cut if c and is_in(space, c)]
    known = begin_with.methods if found else frozenset[str]()
    return list(dict.fromkeys([*found, *(c for c in default_configurations(space) if c.method not in known)]))


def is_in(space: SearchSpace, configuration: Configuration) -> bool:
    """Whether a space has a configuration and its limits allow it."""
    try:
        parameters_of(space, configuration)
    except AutopeftError:
        return False
    return True
