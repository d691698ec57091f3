"""What a study can minimise or maximise: the frozen `Objective` and its registry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import log10
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.base.own_code import check_takes, imported
from autopeft.base.plugins import check_plugins
from autopeft.configuration import Configuration

if TYPE_CHECKING:
    from autopeft.objectives.setting import Setting

Direction = Literal["minimize", "maximize"]
Scale = Literal["linear", "log"]

REGISTRY: dict[str, "Objective"] = {}
AnyObjective = TypeVar("AnyObjective", bound="Objective")


class Measurements(Protocol):
    """What one training run measured, as far as objectives read it (`Curve`)."""

    @property
    def measured(self) -> Mapping[str, float]:
        """Values measured on the machine, by the objective's name."""

    @property
    def validation_loss(self) -> tuple[float, ...]:
        """One value per evaluation."""

    @property
    def validation_score(self) -> tuple[float, ...]:
        """One value per evaluation."""

    @property
    def result(self) -> int:
        """The index of the evaluation that counts: the last, or the best of a run that could end early."""

    @property
    def test_loss(self) -> float | None:
        """At full length, of finalists and baselines."""

    @property
    def test_score(self) -> float | None:
        """At full length, of finalists and baselines."""


class Evidence(Protocol):
    """What is known of a configuration: a trial or an outcome."""

    @property
    def counted(self) -> Mapping[str, float]:
        """Values known before training, by the objective's name."""

    @property
    def curve(self) -> Measurements | None:
        """What its run measured, None before it has run."""


class Probe(Protocol):
    """What measures a configuration on this machine, one training step or one forward pass at a time."""

    configuration: Configuration
    uniform_lora: Configuration  # at the study's budget: what times are a ratio to

    def seconds_per_step(self, configuration: Configuration) -> float:
        """Seconds of one training step of a configuration."""

    def latency_ratio(self) -> float:
        """Seconds of a forward pass of the probed configuration over the bare backbone's."""


@dataclass(frozen=True)
class Objective:
    """One thing that a study minimises or maximises.

    Attributes:
        name: as in `--objectives` and in tables.
        title: as a plot's axis says it.
        direction: "minimize" or "maximize".
        unit: of its values: "" for a plain number, "bytes", "FLOPs", "x" for a ratio.
        scale: "log" where it spans powers of ten: what the sampler sees and what a plot's axis is.
    """

    name: str
    title: str
    direction: Direction = "minimize"
    unit: str = ""
    scale: Scale = "linear"

    def value(self, evidence: Evidence) -> float | None:
        """The value on record, None where there is none: what was measured comes before what was counted."""
        measured = evidence.curve.measured if evidence.curve else {}
        return measured.get(self.name, evidence.counted.get(self.name))

    def reported(self, counted: Mapping[str, float], curve: Measurements, split: str) -> float | None:
        """The value of one full-length run, on the split "validation" or "test" where it is scored on one."""
        return curve.measured.get(self.name, counted.get(self.name))

    def scaled(self, value: float) -> float:
        """A value as the sampler sees it: its decimal logarithm on a log scale, with everything below 1 at 0."""
        return log10(max(1.0, value)) if self.scale == "log" else value

    def cost(self, value: float) -> float:
        """A value as something to minimise, on the sampler's scale."""
        return self.scaled(value) if self.direction == "minimize" else -self.scaled(value)

    def rung_cost(self, evidence: Evidence, at: int) -> float:
        """The cost by which trials are compared after the evaluation number `at` (from 0); NaN if it is unknown."""
        value = self.value(evidence)
        return float("nan") if value is None else self.cost(value)

    def better(self, one: float, other: float) -> bool:
        """Whether one value is strictly better than another."""
        return self.cost(one) < self.cost(other)

    def words(self, value: float) -> str:
        """A value as a sentence says it, with its unit."""
        return self.text(value) if self.unit in ("", "x", "bytes", "FLOPs") else f"{self.text(value)} {self.unit}"

    def text(self, value: float) -> str:
        """A value as a table shows it."""
        if self.unit == "x":
            return f"{value:.3f}x"
        if self.unit == "bytes":
            return si(value, "B")
        if self.unit == "FLOPs":
            return si(value, "FLOPs")
        return f"{value:,.0f}" if float(value).is_integer() and self.scale == "log" else f"{value:.4f}"


@dataclass(frozen=True)
class Counted(Objective):
    """Known from the sizes before anything is trained, so that it can be a hard limit too.

    Attributes:
        count: a configuration and the study's setting -> the value.
    """

    count: Callable[[Configuration, "Setting"], float] = lambda configuration, setting: 0.0

    def text(self, value: float) -> str:
        """A value as a table shows it: what is counted is often a whole number, whatever the scale."""
        plain = self.unit not in ("x", "bytes", "FLOPs")
        return f"{value:,.0f}" if plain and float(value).is_integer() else super().text(value)


@dataclass(frozen=True)
class Scored(Objective):
    """Read off the validation split at full length, and reported on the test split.

    Short runs are ranked by their validation loss, whatever the metric: it is less noisy, and ranks better.

    Attributes:
        reads: the field of `Curve` without its split: "score" or "loss".
        perplexity: whether exp(-value) is a perplexity, which tables then show beside it.
    """

    reads: Literal["score", "loss"] = "score"
    perplexity: bool = False

    def value(self, evidence: Evidence) -> float | None:
        """The value on the validation split where the run counts."""
        return self.reported({}, evidence.curve, "validation") if evidence.curve else None

    def reported(self, counted: Mapping[str, float], curve: Measurements, split: str) -> float | None:
        """The value of a run on a split, where it counts."""
        if split == "test":
            return curve.test_score if self.reads == "score" else curve.test_loss
        return (curve.validation_score if self.reads == "score" else curve.validation_loss)[curve.result]

    def rung_cost(self, evidence: Evidence, at: int) -> float:
        """The validation loss at that evaluation."""
        return evidence.curve.validation_loss[at] if evidence.curve else float("nan")


@dataclass(frozen=True)
class Measured(Objective):
    """Measured once for each trial and each full-length run, on the machine that trains it.

    Attributes:
        measure: takes the measurement.
    """

    measure: Callable[[Probe], float] = lambda probe: float("nan")


def register(objective: AnyObjective) -> AnyObjective:
    """Enter an objective under its name.

    Raises:
        AutopeftError: there is one of that name already.
    """
    if objective.name in REGISTRY:
        raise AutopeftError(f"There is an objective '{objective.name}' already: give yours another name.")
    REGISTRY[objective.name] = objective
    return objective


def get_objective(name: str) -> Objective:
    """The objective of that name, or a user's own as "package.module:attribute".

    Args:
        name: a registered name, or where to import an `Objective` or a function from. A function takes a
            `Configuration` and a `Setting` and returns a number, which is minimised.

    Returns:
        The objective; a user's own is called by the name it was asked for by.

    Raises:
        AutopeftError: there is none of that name, or it cannot be imported.
    """
    check_plugins()
    if ":" in name:
        return own_objective(name)
    if name not in REGISTRY:
        raise AutopeftError(
            f"Unknown objective '{name}'.{did_you_mean(name, [*REGISTRY, 'metric'])} One of your own is "
            "package.module:function."
        )
    return REGISTRY[name]


def own_objective(name: str) -> Objective:
    """Import a user's own objective. Raises AutopeftError."""
    found = imported(name, "objective")
    if isinstance(found, Objective):
        return replace(found, name=name)  # a worker or a report finds it again by its name
    check_takes(found, name, "objective", ("configuration", "setting"))
    return Counted(name, name.partition(":")[2].replace("_", " "), count=found)


def si(value: float, unit: str) -> str:
    """1.5e9, "B" -> "1.5 GB"."""
    for prefix in ("", "k", "M", "G", "T"):
        if abs(value) < 1000:
            return f"{value:.4g} {prefix}{unit}"
        value /= 1000
    return f"{value:.4g} P{unit}"
