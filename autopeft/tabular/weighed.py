"""What a benchmark is weighed by: the objectives, and the costs that are counted for every configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.costs.step import Step
from autopeft.objectives import Counted, Limit, Limits, Objectives, Setting
from autopeft.objectives.parameters import PARAMETERS
from autopeft.tabular.benchmark import TabularBenchmark
from autopeft.uniform_lora import uniform_lora

DEFAULT = "parameters,metric"
STEP = {"batch_size": 32, "max_length": 128}  # where a benchmark does not say what its steps were
BEYOND = 1.1  # without a limit the hypervolume ends at so many times the table's largest value

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CountedCosts:
    """Counted objectives of N configurations as costs, on the sampler's scale.

    Attributes:
        values: (N, K).
        ends: (K,) where the hypervolume ends.
    """

    values: Floats
    ends: Floats


def objectives_of(benchmark: TabularBenchmark, text: str = DEFAULT) -> Objectives:
    """Read the objectives by which a benchmark is weighed.

    Args:
        benchmark: its metric is what "metric" stands for.
        text: names joined by commas, as in a study.

    Raises:
        AutopeftError: a name is unknown, or the benchmark's runs cannot know its value.
    """
    about = benchmark.about
    metric = about.get("task", {}).get("metric") or about["spec"].get("metric") or "accuracy"
    found = Objectives.of(text, metric)
    known_to(found, benchmark.path)
    return found


def known_to(objectives: Objectives, path: Path) -> tuple[Counted, ...]:
    """The objectives beside the quality, all of them counted.

    Raises:
        AutopeftError: one is measured or is a second quality, of which a benchmark knows nothing.
    """
    for objective in objectives.others:
        if not isinstance(objective, Counted):
            raise AutopeftError(
                f"{path} cannot say what {objective.name} is: beside the metric or the loss, only objectives that are "
                "counted before training can be weighed on a benchmark."
            )
    return tuple(o for o in objectives.others if isinstance(o, Counted))


def limits_on(benchmark: TabularBenchmark, budget: int | None) -> Limits:
    """The budget in parameters, with the sizes and the training step that the benchmark was built with."""
    about, shapes = benchmark.about, BackboneShapes.from_json(benchmark.about["shapes"])
    rows, tokens = (about["spec"].get(name) or default for name, default in STEP.items())
    limits = (Limit(PARAMETERS, budget),) if budget is not None else ()
    return Limits(limits, Setting(shapes, Step(rows, tokens), uniform_lora(shapes, budget)))


def counted_costs(
    objectives: Sequence[Counted], configurations: Sequence[Configuration], limits: Limits
) -> CountedCosts:
    """Count what every configuration comes to.

    Args:
        objectives: K of them.
        configurations: N of them.
        limits: with the sizes to count from; the hypervolume ends at the limit of an objective that has one.
    """
    values = np.array([[o.count(c, limits.setting) for o in objectives] for c in configurations], dtype=float)
    return costs_of(objectives, values, limits.limits)


def costs_of(objectives: Sequence[Counted], values: Floats, limits: Sequence[Limit] = ()) -> CountedCosts:
    """Values (N, K) -> costs, and where the hypervolume ends: at a limit, else a little beyond the worst value."""
    most = {limit.objective.name: float(limit.most) for limit in limits}
    columns = [np.array([o.cost(v) for v in column]) for o, column in zip(objectives, values.T)]
    ends = [o.cost(most.get(o.name) or beyond(o, column)) for o, column in zip(objectives, values.T)]
    return CountedCosts(np.column_stack(columns), np.array(ends))


def beyond(objective: Counted, values: Floats) -> float:
    """A value a little worse than the worst of these (N,)."""
    down = objective.direction == "minimize"
    worst = float(values.max() if down else values.min())
    return worst * BEYOND if down == (worst > 0) else worst / BEYOND
