"""SearchPlan: what a search would do."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class PlannedRung:
    """Where trials are compared: after so many steps, on so many validation rows."""

    steps: int
    rows: int


@dataclass(frozen=True)
class PlannedBaseline:
    """What everything is compared with, and its objectives that are known before training, by name."""

    name: str
    configuration: str
    trainable: int
    counted: dict[str, float]


@dataclass(frozen=True)
class SearchPlan:
    """What a search would do.

    Attributes:
        task: `Task.summary()`.
        budget: the most trainable parameters, None for no limit.
        limits: the largest value allowed of each limited objective, by name, the budget among them.
        configurations: the exact number of discrete configurations in the space.
        methods: those with a configuration within the limits.
        refused: method -> why it does not fit the backbone.
        length: of a whole run in words, with its epochs.
        ending: when finalists and baselines end before that; empty where they do not.
        time: how long its parts are expected to take, of a study that was given a time.
        over_limit: methods whose smallest configuration exceeds a limit.
    """

    folder: str
    task: dict[str, Any]
    objectives: tuple[str, ...]
    budget: int | None
    limits: dict[str, float]
    backbone_parameters: int
    head_parameters: int
    configurations: int
    methods: tuple[str, ...]
    refused: dict[str, str]
    over_limit: tuple[str, ...]
    trials: int
    rungs: tuple[PlannedRung, ...]
    full_steps: int
    length: str
    ending: str
    seeds: int
    finalists: int
    time: str | None
    baselines: tuple[PlannedBaseline, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain dicts, lists and numbers."""
        return asdict(self)
