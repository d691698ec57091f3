"""A table + a sampler -> the search it would have been: propose, take the nearest row, tell. Imports no torch."""

import logging
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import TrialState, create_trial

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.errors import AutopeftError
from autopeft.base.recipe import COHORT, ETA
from autopeft.configuration import Configuration
from autopeft.importance.saving import saving_of
from autopeft.importance.scores import LayerScores
from autopeft.space import SearchSpace, build_space, load_space
from autopeft.space.anchor import Anchor
from autopeft.study.sampler import BudgetedSampler, TrialChooser
from autopeft.tabular.benchmark import TruthTable
from autopeft.tabular.halving import Ladder, chosen_front, ladder_of
from autopeft.tabular.nearest import Rows
from autopeft.tabular.runs import Runs, runs_of

NO_RUNGS = "none"


@dataclass(frozen=True)
class Arm:
    """One way to search."""

    sampler: str
    importance: str = "none"
    rungs: str = NO_RUNGS
    transfer: bool = False

    def __str__(self) -> str:
        parts = [self.sampler]
        parts += [f"{self.importance} prior"] if self.importance != "none" else []
        parts += [f"rungs {self.rungs}"] if self.rungs != NO_RUNGS else []
        return " + ".join([*parts, "transfer"] if self.transfer else parts)


@dataclass(frozen=True, eq=False)
class Course:
    """What one search found: after each trial, the cost so far (full-length runs) and the share of the hypervolume."""

    cost: np.ndarray
    share: np.ndarray
    reported: float  # the share kept by the front that validation picks at the end

    def trials_to(self, share: float) -> int | None:
        """The first trial (from 1) at which the share is reached."""
        there = np.flatnonzero(self.share >= share)
        return int(there[0]) + 1 if there.size else None

    def cost_to(self, share: float) -> float | None:
        trial = self.trials_to(share)
        return None if trial is None else float(self.cost[trial - 1])

    def at_cost(self, cost: float) -> float:
        """The share when this much was spent."""
        spent = np.flatnonzero(self.cost <= cost + 1e-9)
        return float(self.share[spent[-1]]) if spent.size else 0.0


class Replay:
    """A table to be searched again and again: its runs, its space with each prior, another table's front."""

    def __init__(self, table: TruthTable, budget: str | None = None, transfer: TruthTable | None = None):
        self.runs = runs_of(table, budget)
        self._table, self._rows = table, {}
        every = table.configurations()
        self.configurations = [every[k] for k in self.runs.keys]
        self._transferred = self._front_of(transfer, budget) if transfer else []

    def rows(self, importance: str) -> Rows:
        """The rows in the space with this prior. Raises AutopeftError when the table has no such scores."""
        if importance not in self._rows:
            self._rows[importance] = Rows(space_of(self._table, importance, self.runs), self.configurations)
        return self._rows[importance]

    def _front_of(self, other: TruthTable, budget: str | None) -> list[Configuration]:
        """Another table's front by validation, the best score first."""
        mine, its = self._table.about, other.about
        same = [mine["spec"]["space"] == its["spec"]["space"], mine["shapes"]["linears"] == its["shapes"]["linears"]]
        if not all(same):
            raise AutopeftError(
                f"{other.path} is a table of another space or backbone than {self._table.path}: "
                "nothing can be transferred."
            )
        runs, every = runs_of(other, budget), other.configurations()
        front = chosen_front(runs, np.arange(len(runs.keys)))
        best_first = front[np.argsort(runs.signals["validation_score"][front, -1], kind="stable")]
        return [every[runs.keys[i]] for i in best_first]

    def search(self, arm: Arm, seed: int, trials: int) -> Course:
        """One search. With rungs, cohorts are proposed together and those not promoted are told as pruned."""
        logging.getLogger("optuna").setLevel(logging.WARNING)
        rows = self.rows(arm.importance)
        study = optuna.create_study(directions=["minimize", "maximize"])
        first = [*(self._transferred if arm.transfer else ()), *anchor_configurations(rows.space)]
        ladder = Ladder(self.runs, (1.0,) if arm.rungs == NO_RUNGS else ladder_of(arm.rungs), ETA)
        tried, found, cost, share = set(), [], [], []
        trials = min(trials, len(self.configurations))
        while len(tried) < trials:
            size = 1 if arm.rungs == NO_RUNGS else min(COHORT, trials - len(tried))
            cohort = []
            for _ in range(size):
                row, attributes = propose(study, rows, arm.sampler, seed * 100_003 + len(tried), tried, first)
                tried.add(row)
                cohort.append((row, attributes))
            finished = set(ladder.climb([row for row, _ in cohort]))
            for row, attributes in cohort:
                tell(study, rows, row, attributes, self._values(row) if row in finished else None)
            found += finished
            cost += [ladder.spent] * size
            share += [share[-1] if share else 0.0] * (size - 1) + [self.runs.share(found)]
        reported = self.runs.share(chosen_front(self.runs, np.array(found, dtype=int)))
        return Course(np.array(cost), np.array(share), reported)

    def _values(self, row: int) -> list[float]:
        """What a study is told of a full-length run: log10 parameters and the validation score."""
        return [float(self.runs.points(self.runs.parameters)[row, 0]), -self.runs.signals["validation_score"][row, -1]]


def space_of(table: TruthTable, importance: str, runs: Runs) -> SearchSpace:
    """The table's own space. Raises AutopeftError when it has no scores of that name."""
    about, shapes = table.about, BackboneShapes.from_json(table.about["shapes"])
    stored = {name: LayerScores.from_json(scores) for name, scores in about.get("scores", {}).items()}
    priors = {"none": None, **stored, "saving": saving_of(shapes.num_layers)}
    if importance not in priors:
        raise AutopeftError(f"{table.path} has no layer scores '{importance}': it has {', '.join(priors)}.")
    name = about["spec"]["space"]
    return build_space(name, load_space(name), shapes, runs.limit, priors[importance])


def anchor_configurations(space: SearchSpace) -> list[Configuration]:
    """Each method's anchor, with which a study begins."""
    return [space.walk(Anchor(b)) for b in space.affordable() if len(b.parts) == 1]


def propose(
    study, rows: Rows, sampler: str, seed: int, tried: set[int], first: list[Configuration]
) -> tuple[int, dict]:
    """(the row to try, what the sampler noted of the trial): the next of `first`, else what the sampler asks for."""
    study.sampler = asked = BudgetedSampler(sampler, seed)
    trial = study.ask()
    row = None
    while first and row is None:
        row = rows.nearest(first.pop(0), tried)
    if row is None:
        row = rows.nearest(rows.space.walk(TrialChooser(trial, asked), exclude=rows.used_up(tried)), tried)
    notes = study.get_trials(deepcopy=False)[trial.number].system_attrs
    study.tell(trial, state=TrialState.FAIL)  # the proposal itself: samplers learn from the row instead
    return row, dict(notes)


def tell(study, rows: Rows, row: int, notes: dict, values: list[float] | None) -> None:
    """Add a row as a trial, with its own parameters; without values it was pruned."""
    state = TrialState.COMPLETE if values else TrialState.PRUNED
    followed = rows.followed[row]
    study.add_trial(
        create_trial(
            state=state,
            values=values,
            params=followed.parameters,
            distributions=followed.distributions,
            system_attrs=notes,
        )
    )
