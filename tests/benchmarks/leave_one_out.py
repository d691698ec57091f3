"""Leave one task out: ways to search each task's table that have learnt from the other tasks only.

    python tests/benchmarks/leave_one_out.py [--evidence studies/evidence] [--seeds 20]

Prints for each way the share of the best known hypervolume after some trials: the mean over tasks with its 95 % interval,
and each task's own. Tables of one task, on several backbones, are left out together.
"""

import argparse
import warnings
from collections.abc import Sequence

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning

from autopeft.front.intervals import over_seeds
from autopeft.space.portfolio import Portfolio
from autopeft.space.rates import RateRule
from autopeft.space.relative import RelativeConfiguration
from autopeft.surrogate.gain_model import GainModel
from autopeft.tabular.learning import learn, read_tables
from autopeft.tabular.task_search import QUIET_RULE, TaskSearch, Way
from autopeft.tabular.task_table import TaskTable

TRIALS = (5, 10, 15, 25, 40)


def ways(others: Sequence[TaskTable]) -> list[Way]:
    """The search, its parts switched off one by one, and what it is compared with."""
    learnt = learn(others)
    entries = tuple(map(RelativeConfiguration.from_json, learnt["portfolio"]["entries"]))
    portfolio, rule = Portfolio(entries, frozenset(learnt["portfolio"]["methods"])), RateRule(**learnt["rates"])
    model, ten = GainModel.from_json(learnt["gains"]), Portfolio(entries[:10], portfolio.methods)
    return [
        Way("the search", begin_with=portfolio, rule=rule, rates=3),
        Way("no portfolio", rule=rule, rates=3),
        Way("no rate rule", begin_with=portfolio, rule=QUIET_RULE, rates=3),
        Way("one rate by the rule", begin_with=portfolio, rule=rule),
        Way("ten of it, then multitask-gp", begin_with=ten, rule=rule, rates=3, model=model),
        Way("ten of it, then tpe", begin_with=ten, rule=rule, rates=3),
        Way("then multitask-gp", begin_with=portfolio, rule=rule, rates=3, model=model),
        Way("then random", sampler="random", begin_with=portfolio, rule=rule, rates=3),
        Way("then gp", sampler="gp", begin_with=portfolio, rule=rule, rates=3),
        Way("then nsga2", sampler="nsga2", begin_with=portfolio, rule=rule, rates=3),
        Way("the release before", space="basic", begin_with=Portfolio()),
        Way("random", sampler="random"),
        Way("nsga2", sampler="nsga2"),
        Way("gp", sampler="gp"),
        Way("random over LoRA", sampler="random", space="lora"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evidence", default="studies/evidence")
    parser.add_argument("--seeds", type=int, default=20)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    tables = [t for t in read_tables(arguments.evidence) if t.has_room]
    found: dict[str, dict[str, np.ndarray]] = {}
    for table in tables:
        others = [t for t in tables if t.task != table.task]
        searched = TaskSearch(table)
        for way in ways(others):
            shares = np.array([searched.search(way, seed, max(TRIALS)) for seed in range(arguments.seeds)])
            found.setdefault(way.name, {})[table.name] = shares.mean(axis=0)[np.array(TRIALS) - 1]
    print("| way | " + " | ".join(f"{n} trials" for n in TRIALS) + " |")
    for name, by_task in found.items():
        spread = [over_seeds(list(column)) for column in np.array(list(by_task.values())).T]
        print(f"| {name} | " + " | ".join(f"{x.mean:.3f} ± {x.half:.3f}" for x in spread) + " |")
    print()
    for name, by_task in found.items():
        print(f"| {name} | " + " | ".join(f"{task} {v[2]:.3f}" for task, v in by_task.items()) + " |")


if __name__ == "__main__":
    main()
