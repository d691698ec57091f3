"""An evidence file as arrays: what each candidate reaches at its best rate, and what each rate had reached on the way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.errors import AutopeftError
from autopeft.base.pareto import hypervolume
from autopeft.base.run_length import RunLength
from autopeft.configuration import Configuration
from autopeft.methods import count, refusal
from autopeft.proxy.curve import Curve
from autopeft.space import build_space
from autopeft.space.relative import RelativeConfiguration
from autopeft.space.space_file import SpaceFile
from autopeft.surrogate.endings import ending
from autopeft.tabular.evidence import Evidence, EvidenceRun

SMALLEST_SHARE, LARGEST_SHARE = 1e-5, 1e-2  # of the backbone's parameters, between which the hypervolume is taken
NEAR = 0.3  # decades of size within which another row of the same method stands for one that was not trained
LEAST_ROOM = 0.02  # of a score: a task where nothing gains more over the linear probe says nothing

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One candidate on one task.

    Attributes:
        runs: of the first seed, by rising rate.
        best: the one that is chosen, by the validation score of those at full length.
        test: the mean test score of its seeds.
        validation: its validation score.
    """

    relative: RelativeConfiguration
    trainable: int
    runs: tuple[EvidenceRun, ...]
    best: EvidenceRun
    test: float
    validation: float

    @property
    def configuration(self) -> Configuration:
        """At its best rate."""
        return self.best.configuration


@dataclass(frozen=True)
class TaskTable:
    """The candidates of one task on one backbone, and its baselines.

    Attributes:
        task: the data's name; tables of one task are left out together.
        rows: the candidates that were trained to the end.
        baselines: role -> test score: "linear probe", "usual guess", "full fine-tuning".
        stopped: of each other candidate the run with the lowest loss where it was stopped.
    """

    name: str
    task: str
    shapes: BackboneShapes
    length: RunLength
    rows: tuple[Row, ...]
    baselines: dict[str, float]
    stopped: tuple[EvidenceRun, ...] = ()
    _position: dict[RelativeConfiguration, int | None] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, evidence: Evidence) -> "TaskTable":
        """The table of an evidence file; candidates of which no run was finished are left out.

        Raises:
            AutopeftError: it lacks the linear probe or has no finished candidate.
        """
        groups: dict[tuple, list[EvidenceRun]] = {}
        for run in evidence.runs:
            key = (run.role, run.configuration.method, run.configuration.settings, run.configuration.layers)
            groups.setdefault(key, []).append(run)
        rows, stopped, baselines = [], [], {}
        for (role, *_), runs in groups.items():
            if (row := row_of(runs)) is None:
                stopped += [r for r in [furthest(runs)] if r and role == "candidate"]
            elif role == "candidate":
                rows.append(row)
            else:
                baselines[role] = row.test
        if "linear probe" not in baselines or not rows:
            raise AutopeftError(f"The evidence {evidence.name} has no finished linear probe or candidate yet.")
        position: dict[RelativeConfiguration, int | None] = {row.relative: i for i, row in enumerate(rows)}
        spec = evidence.about["spec"]
        length = RunLength(spec["full_steps"], spec["batch_size"])
        return cls(
            evidence.name, spec["data"], evidence.shapes, length, tuple(rows), baselines, tuple(stopped), position
        )

    @property
    def probe(self) -> float:
        """The linear probe's test score."""
        return self.baselines["linear probe"]

    def row(self, relative: RelativeConfiguration) -> int | None:
        """The row of a candidate, or the one of its method that is nearest in size; None where none is near."""
        if relative not in self._position:
            self._position[relative] = self._nearest(relative)
        return self._position[relative]

    def _nearest(self, relative: RelativeConfiguration) -> int | None:
        if refusal(relative.method, self.shapes):
            return None
        file = SpaceFile(methods={relative.method: {}})
        made = relative.on(build_space(relative.method, file, self.shapes).branches[0])
        size = np.log10(max(1, count(made, self.shapes)) / self.shapes.backbone_parameters)
        same = [i for i, row in enumerate(self.rows) if row.relative.method == relative.method and row.trainable]
        near = min(same, key=lambda i: abs(np.log10(self.shares[i]) - size), default=None)
        return near if near is not None and abs(np.log10(self.shares[near]) - size) <= NEAR else None

    @cached_property
    def shares(self) -> Floats:
        """(N,) Trainable numbers as a share of the backbone's."""
        return np.array([r.trainable for r in self.rows]) / self.shapes.backbone_parameters

    @cached_property
    def gains(self) -> Floats:
        """(N,) Test scores over the linear probe's."""
        return np.array([r.test for r in self.rows]) - self.probe

    @property
    def configurations(self) -> list[Configuration]:
        """What adapts anything: the rows' configurations, then those of what was stopped."""
        every = [row.configuration for row in self.rows] + [run.configuration for run in self.stopped]
        return [c for c in every if c.layers]

    @property
    def finished(self) -> int:
        """How many of `configurations` were trained to the end; they come first."""
        return sum(bool(row.configuration.layers) for row in self.rows)

    @cached_property
    def expected_gains(self) -> Floats:
        """(N,) Of `configurations`: the rows' gains, and where the others would end by the line through the rows' losses."""
        finished = [float(gain) for row, gain in zip(self.rows, self.gains) if row.configuration.layers]
        stopped = (run.curve for run in self.stopped if run.configuration.layers)
        return np.array(finished + [self._end(curve) for curve in stopped if curve])

    @cached_property
    def _end(self) -> Callable[[Curve], float]:
        rows = [(row, float(gain)) for row, gain in zip(self.rows, self.gains) if row.configuration.layers]
        return ending((row.best.curve, gain) for row, gain in rows if row.best.curve)

    def gain(self, row: int, run: EvidenceRun) -> float:
        """What one run of a row gains; where it was stopped what its loss points to, and no more than the row's."""
        if run.curve is None:
            return -np.inf
        if run.curve.test_score is not None:
            return run.curve.test_score - self.probe
        return min(float(self.gains[row]), self._end(run.curve))

    @cached_property
    def whole(self) -> float:
        """The hypervolume of all rows."""
        return self.volume(range(len(self.rows)))

    def volume(self, chosen: Sequence[int] | NDArray[np.integer] | range) -> float:
        """The hypervolume of some rows at their best rates."""
        chosen = np.asarray(list(chosen), dtype=int)
        return volume(self.shares[chosen], self.gains[chosen])

    def share(self, chosen: Sequence[int]) -> float:
        """The same as a share of the whole table's."""
        return self.volume(chosen) / self.whole

    @property
    def has_room(self) -> bool:
        """Whether anything gains enough over the linear probe for the order of candidates to mean something."""
        return bool(self.gains.max() >= LEAST_ROOM)


def volume(shares: Floats, gains: Floats) -> float:
    """The hypervolume of points: decades of parameters, up to LARGEST_SHARE, times gain over the linear probe.

    Args:
        shares: (N,) trainable numbers as a share of the backbone's.
        gains: (N,) scores over the linear probe's.
    """
    cost = np.log10(np.clip(shares, SMALLEST_SHARE, None))
    return hypervolume(np.column_stack([cost, -gains]), [np.log10(LARGEST_SHARE) + 1e-9, 0.0])


def furthest(runs: Sequence[EvidenceRun]) -> EvidenceRun | None:
    """The run with the lowest loss of those that were trained the longest; None if all failed."""
    trained = [r for r in runs if r.curve]
    return min(
        trained, key=lambda r: (-r.curve.steps[-1], r.curve.validation_loss[-1]) if r.curve else (0, 0), default=None
    )


def row_of(runs: Sequence[EvidenceRun]) -> Row | None:
    """The runs of one candidate -> its row; None if none was finished."""
    whole = [r for r in runs if r.whole]
    if not whole:
        return None
    seed = min(r.seed for r in whole)
    by_rate = {r.configuration: r for r in sorted((r for r in runs if r.seed == seed), key=lambda r: r.whole)}
    first = sorted(by_rate.values(), key=lambda r: r.configuration.learning_rate)
    finished = [r for r in whole if r.seed == seed]
    best = max(finished, key=validation)
    same = [r for r in runs if r.whole and r.configuration == best.configuration]
    tested = [r.curve.test_score for r in same if r.curve and r.curve.test_score is not None]
    relative = best.relative or {"method": best.configuration.method, "settings": {}, "depth": 1.0}
    found = RelativeConfiguration.from_json(relative)
    return Row(found, best.trainable, tuple(first), best, float(np.mean(tested)), validation(best))


def validation(run: EvidenceRun) -> float:
    """The last validation score of a run."""
    assert run.curve is not None
    return run.curve.validation_score[-1]
