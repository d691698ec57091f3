"""Replay a search over a tabular benchmark: the sampler proposes, the nearest row stands for the training."""

import logging
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState, create_trial

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.errors import AutopeftError
from autopeft.base.recipe import COHORT, ETA
from autopeft.configuration import Configuration
from autopeft.importance.saving import saving_of
from autopeft.importance.scores import LayerScores
from autopeft.space import SearchSpace, build_space, default_configurations
from autopeft.study.kept_space import kept_space
from autopeft.study.sampler import LimitedSampler, TrialSuggester
from autopeft.study.trials import SEEDS_APART
from autopeft.tabular.benchmark import TabularBenchmark
from autopeft.tabular.halving import SuccessiveHalving, chosen_front
from autopeft.tabular.nearest import Rows
from autopeft.tabular.runs import limit_of, runs_of
from autopeft.tabular.trajectory import SearchSetup, Trajectory
from autopeft.tabular.weighed import DEFAULT, limits_on, objectives_of


class Replay:
    """A benchmark to be searched again and again.

    Args:
        benchmark: What is searched.
        budget: "0.5%", "300k" or a number; the benchmark's own if none is given.
        transfer: Another benchmark, with whose front the searches may begin.
        objectives: What the searches weigh; "metric" stands for the benchmark's own.

    Raises:
        AutopeftError: Too few configurations are within the budget, an objective is not known, or the other benchmark is of another space.
    """

    def __init__(
        self,
        benchmark: TabularBenchmark,
        budget: str | None = None,
        transfer: TabularBenchmark | None = None,
        objectives: str = DEFAULT,
    ) -> None:
        self.runs = runs_of(benchmark, budget, objectives)
        self._quality, self._objectives = objectives_of(benchmark, objectives).quality, objectives
        every = benchmark.configurations()
        self.configurations = [every[k] for k in self.runs.keys]
        self._benchmark, self._limit = benchmark, limit_of(benchmark, budget)
        self._rows: dict[str, Rows] = {}
        self._transferred = self._front_of(transfer, budget) if transfer else []

    def rows(self, importance: str) -> Rows:
        """The rows in the space with this prior. Raises AutopeftError when the benchmark has no such scores."""
        if importance not in self._rows:
            space = space_of(self._benchmark, importance, self._limit)
            self._rows[importance] = Rows(space, self.configurations)
        return self._rows[importance]

    def _front_of(self, other: TabularBenchmark, budget: str | None) -> list[Configuration]:
        """Another benchmark's front by validation, the best score first."""
        mine, its = self._benchmark.about, other.about
        same = [mine["spec"]["space"] == its["spec"]["space"], mine["shapes"]["linears"] == its["shapes"]["linears"]]
        if not all(same):
            raise AutopeftError(
                f"{other.path} is a benchmark of another space or backbone than {self._benchmark.path}: "
                "nothing can be transferred."
            )
        runs, every = runs_of(other, budget, self._objectives), other.configurations()
        front = chosen_front(runs, np.arange(len(runs.keys)))
        best_first = front[np.argsort(runs.validated[front], kind="stable")]
        return [every[runs.keys[i]] for i in best_first]

    def search(self, setup: SearchSetup, seed: int, trials: int) -> Trajectory:
        """Run one search.

        Args:
            setup: The sampler, prior, rungs and transfer. With rungs, cohorts are proposed together, and trials that
                are not promoted are pruned.
            seed: Of the sampler.
            trials: How many rows are tried, at most all.
        """
        logging.getLogger("optuna").setLevel(logging.WARNING)
        rows = self.rows(setup.importance)
        study = optuna.create_study(directions=["minimize"] * self.runs.counted.shape[1] + [self._quality.direction])
        first = [*(self._transferred if setup.transfer else ()), *default_configurations(rows.space)]
        halving = SuccessiveHalving(self.runs, setup.rungs, ETA)
        tried: set[int] = set()
        found: list[int] = []
        cost: list[float] = []
        share: list[float] = []
        trials = min(trials, len(self.configurations))
        while len(tried) < trials:
            size = min(COHORT, trials - len(tried)) if setup.has_rungs else 1
            cohort = []
            for _ in range(size):
                row, notes = propose(study, rows, setup.sampler, seed * SEEDS_APART + len(tried), tried, first)
                tried.add(row)
                cohort.append((row, notes))
            finished = set(halving.run([row for row, _ in cohort]))
            for row, notes in cohort:
                add_trial(study, rows, row, notes, self._values(row) if row in finished else None)
            found += finished
            cost += [halving.spent] * size
            share += [share[-1] if share else 0.0] * (size - 1) + [self.runs.share(found)]
        reported = self.runs.share(chosen_front(self.runs, np.array(found, dtype=int)))
        return Trajectory(np.array(cost), np.array(share), reported)

    def _values(self, row: int) -> list[float]:
        """What Optuna is told of a full-length run: the counted costs, and the quality on the validation split."""
        cost = float(self.runs.validated[row])
        return [*self.runs.counted[row].tolist(), cost if self._quality.direction == "minimize" else -cost]


def space_of(benchmark: TabularBenchmark, importance: str, limit: int | None) -> SearchSpace:
    """The benchmark's own space with a prior over layers.

    Args:
        benchmark: Whose space.
        importance: "none", "saving", or a scorer whose scores the benchmark holds.
        limit: The budget in parameters.

    Raises:
        AutopeftError: The benchmark has no scores of that name.
    """
    about, shapes = benchmark.about, BackboneShapes.from_json(benchmark.about["shapes"])
    stored = {name: LayerScores.from_json(scores) for name, scores in about.get("scores", {}).items()}
    priors = {"none": None, **stored, "saving": saving_of(shapes.num_layers)}
    if importance not in priors:
        raise AutopeftError(f"{benchmark.path} has no layer scores '{importance}': it has {', '.join(priors)}.")
    file = kept_space(about, lambda _: None)
    return build_space(about["spec"]["space"], file, shapes, limits_on(benchmark, limit), priors[importance])


def propose(
    study: optuna.Study, rows: Rows, sampler: str, seed: int, tried: set[int], first: list[Configuration]
) -> tuple[int, dict[str, Any]]:
    """Choose the row to try: the next of `first`, else the one nearest to what the sampler asks for.

    Args:
        study: Whose trials the sampler learns from.
        rows: The rows in the space that is searched; some are still untried.
        sampler: The sampler's name.
        seed: Of this ask.
        tried: The rows that were tried.
        first: Configurations to begin with; those used are removed.

    Returns:
        The row's index, and the system attributes that the sampler left on the trial.
    """
    study.sampler = asked = LimitedSampler(sampler, seed)
    trial = study.ask()
    row = None
    while first and row is None:
        row = rows.nearest(first.pop(0), tried)
    if row is None:
        row = rows.nearest(rows.space.sample(TrialSuggester(trial, asked), exclude=rows.used_up(tried)), tried)
    assert row is not None, "methods without an untried row are excluded"
    notes = study.get_trials(deepcopy=False)[trial.number].system_attrs
    study.tell(trial, state=TrialState.FAIL)  # the proposal itself: samplers learn from the row instead
    return row, dict(notes)


def add_trial(study: optuna.Study, rows: Rows, row: int, notes: dict[str, Any], values: list[float] | None) -> None:
    """Add a row to the study as a trial with the row's own parameters; without values it is pruned."""
    followed = rows.followed[row]
    study.add_trial(
        create_trial(
            state=TrialState.COMPLETE if values else TrialState.PRUNED,
            values=values,
            params=followed.parameters,
            distributions=followed.distributions,
            system_attrs=notes,
        )
    )
