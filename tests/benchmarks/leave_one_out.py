"""Leave one task out: ways to search each task's table that have learnt from the other tasks only.

    python tests/benchmarks/leave_one_out.py [--evidence studies/evidence] [--seeds 20] [--ways "the search,random"]
    python tests/benchmarks/leave_one_out.py --of 3 --draws 3 --ways "the search"     # learnt from three of the others

Prints for each way the share of the best known hypervolume after some trials: the mean over tasks with its 95 % interval,
and each task's own after fifteen. Tables of one task, on several backbones, are left out together. Each search is kept in
--kept as it ends: what is there, of the same tables, is not searched again.
"""

import argparse
import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import optuna
from catalogue import Kept
from optuna.exceptions import ExperimentalWarning

from autopeft.front.intervals import over_seeds
from autopeft.report.rows import print_rows
from autopeft.space.portfolio import Portfolio
from autopeft.space.rates import RateRule
from autopeft.space.relative import RelativeConfiguration
from autopeft.study.trials import BEFORE_PROPOSALS
from autopeft.surrogate.gain_model import GainModel
from autopeft.tabular.learning import learn, read_tables
from autopeft.tabular.task_search import QUIET_RULE, TaskSearch, Way
from autopeft.tabular.task_table import TaskTable

TRIALS = (5, 10, 15, 25, 40)


def ways(others: Sequence[TaskTable]) -> list[Way]:
    """The search, its parts switched off one by one, and what it is compared with."""
    learnt = learn(others)
    entries = tuple(map(RelativeConfiguration.from_json, learnt["portfolio"]["entries"]))
    model, rule = GainModel.from_json(learnt["gains"]), RateRule(**learnt["rates"])
    methods = frozenset(learnt["portfolio"]["methods"])
    search = Way("the search", begin_with=Portfolio(entries[:BEFORE_PROPOSALS], methods), rule=rule, model=model)
    return [
        search,
        replace(search, name="no portfolio", begin_with=None),
        replace(search, name="no rate rule", rule=QUIET_RULE),
        replace(search, name="no surrogate", begin_with=Portfolio(entries, methods), model=None),
        replace(search, name="three rates", rates=3),
        *(replace(search, name=f"{n} first", begin_with=Portfolio(entries[:n], methods)) for n in (5, 15, 20)),
        *(
            replace(search, name=f"{s} for the surrogate", sampler=s, model=None)
            for s in ("tpe", "gp", "nsga2", "random")
        ),
        Way("release 0.1", space="basic", begin_with=Portfolio()),
        Way("random", sampler="random"),
        Way("nsga2", sampler="nsga2"),
        Way("gp", sampler="gp"),
        Way("random over LoRA", sampler="random", space="lora"),
    ]


def teachers(table: TaskTable, tables: Sequence[TaskTable], of: int | None, draw: int) -> list[TaskTable]:
    """The tables of other tasks, or so many of them drawn at random."""
    others = [t for t in tables if t.task != table.task]
    if of is None:
        return others
    return [others[i] for i in sorted(np.random.default_rng(draw).permutation(len(others))[:of])]


def search(kept: Kept, table: TaskTable, others: Sequence[TaskTable], wanted: Sequence[str], seeds: int) -> None:
    """Search a table in every way with every seed, and keep the share after each number of trials."""
    about = {"task": table.name, "taught": "+".join(t.name for t in others), "tables": fingerprint([table, *others])}
    searched = TaskSearch(table)
    for way in ways(others):
        for seed in range(seeds):
            if (not wanted or way.name in wanted) and not kept.of("search", way=way.name, seed=seed, **about):
                shares = searched.search(way, seed, max(TRIALS))[np.array(TRIALS) - 1]
                kept.add(kind="search", way=way.name, seed=seed, shares=[round(float(x), 4) for x in shares], **about)


def fingerprint(tables: Sequence[TaskTable]) -> int:
    """Of what the tables hold."""
    return crc32(json.dumps([[t.name, [round(r.test, 5) for r in t.rows]] for t in tables]).encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evidence", default="studies/evidence")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--ways", type=lambda text: text.split(","), default=[])
    parser.add_argument("--of", type=int, help="learn from so many of the other tasks")
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--kept", type=Path, default=Path("runs/leave_one_out.jsonl"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    arguments.kept.parent.mkdir(parents=True, exist_ok=True)
    kept, tables = Kept(arguments.kept), [t for t in read_tables(arguments.evidence) if t.has_room]
    found: dict[str, dict[str, list]] = {}
    for table in tables:
        for draw in range(arguments.draws):
            others = teachers(table, tables, arguments.of, draw)
            search(kept, table, others, arguments.ways, arguments.seeds)
            for line in kept.of("search", task=table.name, tables=fingerprint([table, *others])):
                if line["seed"] < arguments.seeds:
                    found.setdefault(line["way"], {}).setdefault(table.name, []).append(line["shares"])
    means = {way: {task: np.mean(shares, axis=0) for task, shares in by_task.items()} for way, by_task in found.items()}
    print_means(means)


def print_means(means: dict[str, dict[str, np.ndarray]]) -> None:
    """Over tasks, and of each task."""
    rows = []
    for way, by_task in means.items():
        spread = [over_seeds(list(column)) for column in np.array(list(by_task.values())).T]
        rows.append({"way": way, **{f"{n} trials": f"{x.mean:.3f} ± {x.half:.3f}" for n, x in zip(TRIALS, spread)}})
    print_rows(rows, "share of the best known hypervolume: mean over tasks ± half the 95 % interval")
    place = TRIALS.index(15)
    by_task = [{"way": way} | {t: f"{v[place]:.3f}" for t, v in tasks.items()} for way, tasks in means.items()]
    print_rows(by_task, "after 15 trials, by task")


if __name__ == "__main__":
    main()
