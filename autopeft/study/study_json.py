"""What study.json may hold: every value of its type, whoever wrote it. Keys that another release adds are let through."""

from typing import Any

from pydantic import BaseModel, ConfigDict, NonNegativeInt

KEYS = {"spec", "task", "shapes", "budget", "configurations", "environment"}  # since release 0.1


class TaskSummary(BaseModel):
    """`Task.summary()`; release 0.1 named neither kind, outputs nor facts."""

    model_config = ConfigDict(extra="allow")

    name: str
    classes: list[str]
    metric: str
    train: NonNegativeInt
    validation: NonNegativeInt
    test: NonNegativeInt
    notes: list[str] = []
    fingerprint: str = ""
    kind: str = ""
    outputs: NonNegativeInt = 0
    facts: dict[str, float] = {}


class PrecisionFound(BaseModel):
    """`Precision`, as it was found."""

    model_config = ConfigDict(extra="allow")

    format: str
    attention: str
    seconds_per_step: dict[str, float | None]


class Race(BaseModel):
    """What racing saved."""

    saved: NonNegativeInt
    of: NonNegativeInt


class Environment(BaseModel):
    """What a study was made with, as far as it is read again."""

    model_config = ConfigDict(extra="allow")

    precision: PrecisionFound | None = None
    workers: NonNegativeInt | None = None
    racing: Race | None = None
    device: str = ""
    versions: dict[str, str] = {}
    wall_seconds: float = 0.0


class StudyJson(BaseModel):
    """study.json without its checksum; parts may be missing until all of the study is known."""

    model_config = ConfigDict(extra="allow")

    format: int
    spec: dict[str, Any] = {}
    task: TaskSummary | None = None
    shapes: dict[str, Any] = {}
    budget: NonNegativeInt | None = None
    configurations: NonNegativeInt = 0
    environment: Environment | None = None
    limits: dict[str, float] = {}
    id: str = ""
    fingerprints: dict[str, str] = {}
    sittings: list[str] = []
    space: dict[str, Any] = {}
