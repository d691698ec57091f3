"""Objectives: the tuple that one study pursues."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.objectives.limits import Limits
from autopeft.objectives.metric import METRIC, metric_objective
from autopeft.objectives.objective import Counted, Evidence, Measured, Objective, Scored, get_objective


@dataclass(frozen=True)
class Objectives:
    """Two or more objectives, in the order in which the user named them; at least one of them is scored."""

    chosen: tuple[Objective, ...]

    @classmethod
    def of(cls, text: str, metric: str) -> "Objectives":
        """Read a study's `objectives`.

        Args:
            text: names joined by commas; "metric" stands for the task's metric.
            metric: the metric that the study maximises.

        Raises:
            AutopeftError: a name is unknown or stands twice, there is one only, or none says how good a model is.
        """
        names = [n.strip() for n in text.split(",") if n.strip()]
        found = tuple(metric_objective(metric) if n in (METRIC, metric) else get_objective(n) for n in names)
        if len(found) < 2:
            raise AutopeftError(
                f"A study weighs objectives against each other and '{text}' names {len(found)}: name two."
            )
        if len({o.name for o in found}) < len(found):
            raise AutopeftError(f"The objectives '{text}' name one of them twice: name each once.")
        if not any(isinstance(o, Scored) for o in found):
            raise AutopeftError(
                f"None of the objectives '{text}' says how good a model is: add the task's metric ('{metric}') or loss."
            )
        return cls(found)

    def __iter__(self) -> Iterator[Objective]:
        return iter(self.chosen)

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def quality(self) -> Scored:
        """The first objective that says how good a model is: what intervals and verdicts are about."""
        return next(o for o in self.chosen if isinstance(o, Scored))

    @property
    def others(self) -> tuple[Objective, ...]:
        """All but the quality, in order."""
        return tuple(o for o in self.chosen if o is not self.quality)

    @property
    def quality_last(self) -> tuple[Objective, ...]:
        """The order of the columns in Pareto arithmetic."""
        return (*self.others, self.quality)

    @property
    def measured(self) -> tuple[Measured, ...]:
        """Those that need a measurement of their own."""
        return tuple(o for o in self.chosen if isinstance(o, Measured))

    def count(self, configuration: Configuration, limits: Limits) -> dict[str, float]:
        """The values of a configuration that are known before it is trained, of objectives and limits, by name."""
        counted = [o for o in self.chosen if isinstance(o, Counted)] + [limit.objective for limit in limits.limits]
        return {o.name: float(o.count(configuration, limits.setting)) for o in counted}

    def values(self, evidence: Evidence) -> dict[str, float] | None:
        """All values on record by name, None while one is missing."""
        found = {o.name: o.value(evidence) for o in self.chosen}
        return None if any(v is None for v in found.values()) else {k: v for k, v in found.items() if v is not None}

    def costs(self, values: Mapping[str, float]) -> list[float]:
        """Values by name -> costs (M,), the quality's last."""
        return [o.cost(values[o.name]) for o in self.quality_last]

    def rung_costs(self, evidence: Evidence, at: int) -> list[float]:
        """The costs (M,) by which trials are compared after their evaluation number `at`, the quality's last."""
        return [o.rung_cost(evidence, at) for o in self.quality_last]

    def told(self, values: dict[str, float]) -> list[float]:
        """Values by name -> what Optuna is told, in the study's order and on the sampler's scale."""
        return [o.scaled(values[o.name]) for o in self.chosen]
