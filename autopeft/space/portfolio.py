"""The portfolio: configurations learnt from a benchmark of tasks, with which every search begins, cut to its limits."""

from collections.abc import Sequence
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


@cache
def portfolio() -> tuple[RelativeConfiguration, ...]:
    """The entries that come with autopeft, in their order."""
    entries = yaml.safe_load(FILE.read_text(encoding="utf-8"))["entries"]
    return tuple(RelativeConfiguration.from_json(entry) for entry in entries)


def first_configurations(
    space: SearchSpace, entries: Sequence[RelativeConfiguration] | None = None
) -> list[Configuration]:
    """What a search of a space tries first.

    Args:
        space: on its backbone and within its limits.
        entries: a portfolio; by default the one that comes with autopeft.

    Returns:
        The entries that the space has, in their order, made smaller where they exceed a limit, with uniform LoRA as the
        second; then the default configuration of each method of which no entry is.
    """
    entries = portfolio() if entries is None else entries
    branches = {b.name: b for b in space.affordable() if len(b.parts) == 1}
    meets = space.limits.meet if space.limits else lambda configuration: True
    uniform = space.limits.setting.uniform_lora if space.limits else uniform_lora(space.shapes, None)
    offered = [e for e in entries if e.method in branches]
    if "lora" in branches:
        offered.insert(1, RelativeConfiguration.of(uniform, space.shapes))
    cut = [e.within(branches[e.method], meets) for e in offered]
    found = [c for c in cut if c and is_in(space, c)]
    covered = {c.method for c in found}
    return list(dict.fromkeys([*found, *(c for c in default_configurations(space) if c.method not in covered)]))


def is_in(space: SearchSpace, configuration: Configuration) -> bool:
    """Whether a space has a configuration and its limits allow it."""
    try:
        parameters_of(space, configuration)
    except AutopeftError:
        return False
    return True
