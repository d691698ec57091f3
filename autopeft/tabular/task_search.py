"""Search a table of one task: what a way to search finds there, trial by trial, when it has learnt from the other tasks.

A trial trains the row nearest to what is asked for, at the rate nearest to one of those it starts with. A run that the
benchmark ruled out on the way is a pruned trial; its gain is the one to which its loss points, and no more than the row's.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from autopeft.configuration import Configuration
from autopeft.objectives import Limits
from autopeft.space import build_space, load_space
from autopeft.space.portfolio import Portfolio, first_configurations
from autopeft.space.rates import RateRule
from autopeft.space.space_file import SpaceFile
from autopeft.study.proposals import LEAST
from autopeft.study.sampler import LimitedSampler, TrialSuggester
from autopeft.study.trials import SEEDS_APART
from autopeft.surrogate.acquisition import best_additions, on_the_models_scale
from autopeft.surrogate.endings import ending
from autopeft.surrogate.gain_model import GainModel, placed
from autopeft.tabular.evidence import EvidenceRun
from autopeft.tabular.nearest import Rows
from autopeft.tabular.task_table import LARGEST_SHARE, TaskTable, volume

QUIET_RULE = RateRule(0.0, {}, {}, {}, 0.4)  # the same place in the range of every method


@dataclass(frozen=True)
class Way:
    """A way to search.

    Attributes:
        sampler: by name; what asks for the trials after the first.
        space: a search space by name, or "every method".
        begin_with: the portfolio; an empty one gives every method's default first, None nothing.
        rule: of the rates; None leaves the rate to the sampler.
        rates: with how many a trial starts.
        model: of the gains, which proposes what comes after the first instead of the sampler.
    """

    name: str
    sampler: str = "tpe"
    space: str = "every method"
    begin_with: Portfolio | None = None
    rule: RateRule | None = None
    rates: int = 1
    model: GainModel | None = None


class TaskSearch:
    """A table that is searched again and again.

    Args:
        table: the task.
    """

    def __init__(self, table: TaskTable) -> None:
        self.table = table
        self._rows: dict[str, tuple[Rows, NDArray[np.integer]]] = {}

    def rows(self, name: str) -> tuple[Rows, NDArray[np.integer]]:
        """The table's rows that lie in a space, and their numbers in the table."""
        if name not in self._rows:
            every = sorted({row.relative.method for row in self.table.rows})
            file = SpaceFile(methods={m: {} for m in every}) if name == "every method" else load_space(name)
            limits = Limits.of_budget(self.table.shapes, int(LARGEST_SHARE * self.table.shapes.backbone_parameters))
            space = build_space(name, SpaceFile(methods={m: {} for m in file.methods}), self.table.shapes, limits)
            methods = {b.name for b in space.branches}
            numbers = np.array([i for i, row in enumerate(self.table.rows) if row.relative.method in methods])
            self._rows[name] = Rows(space, [self.table.rows[i].configuration for i in numbers]), numbers
        return self._rows[name]

    def search(self, way: Way, seed: int, trials: int) -> NDArray[np.float64]:
        """The share of the table's hypervolume after each trial.

        Args:
            way: to search.
            seed: of the sampler.
            trials: how many; where the space has fewer rows the last share stays.
        """
        logging.getLogger("optuna").setLevel(logging.ERROR)
        rows, numbers = self.rows(way.space)
        study = optuna.create_study(directions=["minimize", "maximize"])
        first = [] if way.begin_with is None else first_configurations(rows.space, way.begin_with)
        tried: set[int] = set()
        found: list[tuple[float, float]] = []  # share of the backbone, gain
        runs: list[EvidenceRun] = []
        shares: list[float] = []
        while len(tried) < min(trials, len(numbers)):
            asked = self._proposed(rows, way, seed, tried, runs) if way.model and not first else None
            row, rate, notes = asked or self._ask(study, rows, way, seed * SEEDS_APART + len(tried), tried, first)
            tried.add(row)
            run = self._run(int(numbers[row]), way, rate)
            runs.append(run)
            gain = self.table.gain(int(numbers[row]), run)
            found.append((run.trainable / self.table.shapes.backbone_parameters, gain))
            tell(study, rows, row, run, notes)
            shares.append(volume(*np.array(found).T) / self.table.whole)
        return np.array(shares + shares[-1:] * (trials - len(shares)))

    def _ask(
        self, study: optuna.Study, rows: Rows, way: Way, seed: int, tried: set[int], first: list[Configuration]
    ) -> tuple[int, float, dict]:
        """The next row, the rate that was asked for, and the sampler's notes."""
        while first:
            wanted = first.pop(0)
            if wanted.method in {c.method for c in rows.configurations}:
                row = rows.nearest(wanted, tried)
                if row is not None:
                    return row, wanted.learning_rate, {}
        study.sampler = asked = LimitedSampler(way.sampler, seed)
        trial = study.ask()
        wanted = rows.space.sample(TrialSuggester(trial, asked), exclude=rows.used_up(tried))
        row = rows.nearest(wanted, tried)
        notes = dict(study.get_trials(deepcopy=False)[trial.number].system_attrs)
        study.tell(trial, state=TrialState.FAIL)
        assert row is not None, "methods without an untried row are excluded"
        return row, wanted.learning_rate, notes

    def _proposed(
        self, rows: Rows, way: Way, seed: int, tried: set[int], runs: Sequence[EvidenceRun]
    ) -> tuple[int, float, dict] | None:
        """The row that the model proposes; None while too little is known."""
        trained = [r for r in runs if r.curve and r.trainable]
        whole = [(r.curve, r.curve.validation_score[-1]) for r in trained if r.whole and r.curve]
        if len(whole) < LEAST:
            return None
        assert way.model is not None
        end = ending(whole)
        scores = [r.curve.validation_score[-1] if r.whole else end(r.curve) for r in trained if r.curve]
        places = [placed(r.configuration, self.table.shapes) for r in trained]
        seen = on_the_models_scale(way.model, places, scores, [r.whole for r in trained])
        left = [i for i in range(len(rows.configurations)) if i not in tried]
        offered = [placed(rows.configurations[i], self.table.shapes) for i in left]
        (best,) = best_additions(way.model, offered, seen, (), np.log10(LARGEST_SHARE), seed * SEEDS_APART + len(tried))
        return left[best], 0.0, {}

    def _run(self, number: int, way: Way, asked: float) -> EvidenceRun:
        """The run of a row that a trial would end with."""
        row = self.table.rows[number]
        rates: Sequence[float] = (asked,)
        if way.rule is not None:
            expected = way.rule.rate(row.configuration, self.table.shapes, self.table.length)
            rates = way.rule.around(expected, way.rates)
        near = {id(r): r for rate in rates for r in [nearest(row.runs, rate)]}.values()
        return min(near, key=first_loss)


def tell(study: optuna.Study, rows: Rows, row: int, run: EvidenceRun, notes: dict) -> None:
    """Add a row to the study as a trial with the rate at which it was trained; one that was ruled out is pruned."""
    followed = rows.followed[row]
    name = f"{followed.parameters['method']}.learning_rate"
    distribution = followed.distributions[name]
    assert isinstance(distribution, FloatDistribution)
    rate = float(np.clip(run.configuration.learning_rate, distribution.low, distribution.high))
    values = (
        [float(np.log10(max(run.trainable, 1))), run.curve.validation_score[-1]] if run.whole and run.curve else None
    )
    study.add_trial(
        create_trial(
            state=TrialState.COMPLETE if values else TrialState.PRUNED,
            values=values,
            params={**followed.parameters, name: rate},
            distributions=followed.distributions,
            system_attrs=notes,
        )
    )


def first_loss(run: EvidenceRun) -> float:
    """The first validation loss that was measured of a run; infinite where none was. The catalogue measured few."""
    losses = run.curve.validation_loss if run.curve else ()
    return next((loss for loss in losses if loss is not None), float("inf"))


def nearest(runs: Sequence[EvidenceRun], rate: float) -> EvidenceRun:
    """The run whose rate is nearest on a log scale."""
    return min(runs, key=lambda r: abs(np.log(r.configuration.learning_rate / rate)))
