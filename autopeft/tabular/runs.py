"""TruthTable -> arrays: what each run measured at each rung, and what it came to. Imports no torch."""

from dataclasses import dataclass

import numpy as np

from autopeft.base.errors import AutopeftError
from autopeft.base.pareto import hypervolume
from autopeft.space import parse_budget
from autopeft.tabular.benchmark import TruthTable

FEWEST = 4  # configurations below which no figure means anything


@dataclass(frozen=True, eq=False)
class Runs:
    """N configurations at R rungs. Every signal and truth is a cost, lower is better: scores are negated.

    parameters (N,), steps (R,), signals {name: (N, R)} of one seed, truths {"score" and, if known, "loss": (N,)} as
    means over seeds, twins (N, 2): the test scores' cost of two seeds at full length, NaN where one is missing.
    """

    keys: tuple[str, ...]
    parameters: np.ndarray
    steps: np.ndarray
    signals: dict[str, np.ndarray]
    truths: dict[str, np.ndarray]
    twins: np.ndarray | None = None
    limit: float | None = None  # the budget, where the hypervolume ends

    @property
    def reference(self) -> np.ndarray:
        """[log10 parameters, cost] where the hypervolume ends: the budget, the best linear probe (else the worst)."""
        probes = self.truths["score"][self.parameters == 0]
        worst = probes.min() if probes.size else self.truths["score"].max()
        return np.array([np.log10(self.limit or 1.1 * self.parameters.max()), worst])

    def points(self, cost: np.ndarray) -> np.ndarray:
        """(N,) costs -> (N, 2) of [log10 parameters, cost]."""
        return np.column_stack([np.log10(np.maximum(1, self.parameters)), cost])

    def volume(self, chosen) -> float:
        """The hypervolume of the chosen configurations' truths."""
        return hypervolume(self.points(self.truths["score"])[chosen], self.reference)

    def share(self, chosen) -> float:
        """The same, as a share of the whole table's."""
        whole = self.volume(slice(None))
        return self.volume(chosen) / whole if whole else float("nan")

    def rung(self, share: float) -> int:
        """The rung nearest to a share of the full length."""
        return int(np.abs(self.steps - share * self.steps[-1]).argmin())


def runs_of(table: TruthTable, budget: str | None = None) -> Runs:
    """The finished runs of a table within a budget. Raises AutopeftError when too few are left."""
    limit = limit_of(table, budget)
    rows = table.rows if limit is None else table.rows[table.rows["trainable"] <= limit]
    tested = rows.dropna(subset=["test_score"])
    rows = rows.merge(tested[["configuration", "seed"]], on=["configuration", "seed"])
    seeds = sorted(tested["seed"].unique())
    first = rows[rows["seed"] == seeds[0]] if seeds else rows
    keys = tuple(first["configuration"].drop_duplicates())
    enough(len(keys), table.path)
    steps = np.array(sorted(first["step"].unique()))
    mean = tested.groupby("configuration")[["test_loss", "test_score"]].mean().loc[list(keys)]

    def wide(column: str) -> np.ndarray:
        return first.pivot_table(index="configuration", columns="step", values=column).loc[list(keys)].to_numpy()

    signals = {n: wide(n) for n in ("validation_loss", "train_loss")} | {"validation_score": -wide("validation_score")}
    twins = -tested.pivot_table(index="configuration", columns="seed", values="test_score").reindex(keys)
    trainable = first.drop_duplicates("configuration")["trainable"].to_numpy(float)
    truths = {"score": -mean["test_score"].to_numpy(), "loss": mean["test_loss"].to_numpy()}
    pair = twins.to_numpy()[:, :2] if len(seeds) > 1 else None
    return Runs(keys, trainable, steps, signals, truths, pair, limit)


def limit_of(table: TruthTable, budget: str | None) -> int | None:
    """The budget in parameters, the table's own if none is given. Raises AutopeftError when it is above the table's."""
    own = table.about.get("budget")
    if budget is None:
        return own
    limit = parse_budget(budget, table.about["shapes"]["backbone_parameters"])
    if own and limit > own:
        raise AutopeftError(f"The budget {budget} is {limit:,} parameters, {table.path} ends at {own:,}: give less.")
    return limit


def enough(number: int, path) -> None:
    if number < FEWEST:
        raise AutopeftError(f"{path} has {number} finished configurations within the budget: {FEWEST} are needed.")
