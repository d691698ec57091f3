"""The search against other ways in the same wall time, on tasks and a backbone that taught it nothing.

    python tests/benchmarks/live.py --data NAME [--model minilm-l6] --time 8m [--budget 1%] [--out FOLDER]
        [--ways search,random,lora,naive] [--portfolio FILE --rates FILE] [--scored-rows N]
        [further options of `autopeft search`]
    python tests/benchmarks/live.py summary FOLDER...

The ways run one after another, and nothing else may run beside them:

search: `autopeft search --time`, all else by default.
random: random configurations of the same space in the same engine, each at the search's full length: `--sampler random
    --no-portfolio --rates 1 --rungs none`, interrupted when its time is over. Off is what decides where to look and when to
    stop looking: portfolio and defaults, sampler, several rates at the start, rungs; and finalists and baselines too, so
    that all of its time goes to trials. Its answer is the front of these. It keeps what is not search: the resident
    backbone, formats by timing, length buckets, packing and workers; and, for the one rate of each draw, the rule for
    rates, which is kind to it.
lora: `--space lora --time`, all else as the search: the LoRA family alone, with its part of the portfolio. Its baselines, as
    those of the search, can be its answer.
naive: Optuna around transformers' Trainer, one process, rows padded to 128, all else by default: LoRA, DoRA or (IA)^3, rank,
    targets and rate sampled, over the whole length (the search's), until the time is over. The trial that is running then
    is finished and counts. Its clock begins with the tokenisation. What exceeds the budget costs it nothing.

Then, outside the measured time: the members of each way's front by that way's own validation scores, the best per budget
level, are trained again at the search's full length with three seeds that no way has seen, and so are the baselines, their
rates tuned with a fourth. They are scored on the whole test split, or --scored-rows of it, however few --test-rows the ways
had to score: that nothing is a point below uniform LoRA takes several thousand rows to say. Nothing is trained twice.

A way that is killed begins anew, since its clock is not honest otherwise; what has ended is kept in FOLDER, and so is each
re-trained run. Where the least that makes sense takes longer than the time, the search says so; the same limits for all tasks
are then, for example, `--train-rows 4000 --validation-rows 600 --test-rows 500 --max-length 64 --batch-size 16`.

The search's own portfolio and rates must not have seen the data. These have not been seen:

    python tests/benchmarks/live.py --time 8m --data newsgroups
    python tests/benchmarks/live.py --time 8m --data vader-tweets
    python tests/benchmarks/live.py --time 8m --data friends
    autopeft learn --without rotten-tomatoes --out runs/live/without-rotten-tomatoes
    python tests/benchmarks/live.py --time 8m --data rotten-tomatoes \
        --portfolio runs/live/without-rotten-tomatoes/portfolio.yaml --rates runs/live/without-rotten-tomatoes/rates.yaml

and the backbone:

    autopeft learn --without minilm-l3 --out runs/live/without-minilm-l3
    python tests/benchmarks/live.py --time 8m --data newsgroups --model minilm-l3 \
        --portfolio runs/live/without-minilm-l3/portfolio.yaml --rates runs/live/without-minilm-l3/rates.yaml
    python tests/benchmarks/live.py summary runs/live/*-8m
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as autopeft does, and before torch is loaded

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from live_figures import PARTS, Member, differences, ends, figures_of, text
from live_ways import ENGINE, WAYS, by_engine, by_naive, spec_of

from autopeft.base.errors import AutopeftError
from autopeft.base.files import write_whole
from autopeft.base.progress import Progress
from autopeft.base.quantities import seconds_of
from autopeft.front.intervals import estimate
from autopeft.prepare import prepare
from autopeft.report.rows import print_rows
from autopeft.resident import load_resident, load_workers
from autopeft.space import portfolio, rates
from autopeft.study.candidates import Candidate, baselines
from autopeft.study.folder import StudyFolder
from autopeft.study.full_length import FullLength
from autopeft.study.reading import read_study
from autopeft.study.records import StudyResult

TUNING_SEED, SEEDS = 100, 3  # the seeds are those after it; a search takes the few after 0


def run_ways(folder: Path, asked: dict, wanted: Iterable[str], progress: Progress) -> dict[str, dict]:
    """Run the ways that have not ended yet, and keep each as it ends."""
    file = folder / "ways.json"
    done = json.loads(file.read_text()) if file.is_file() else {}
    for way in (w for w in WAYS if w in wanted and w not in done):
        if way in ENGINE:
            done[way] = by_engine(way, folder, asked)
        else:
            done[way] = by_naive(prepare(spec_of(folder)), seconds_of(asked["time"]), progress)
        write_whole(file, json.dumps(done, indent=1))
    return {way: done[way] for way in WAYS if way in done}


def retrained(folder: Path, ways: dict[str, dict], rows: int | None, progress: Progress) -> StudyResult:
    """The search's study with all members and baselines, trained with unseen seeds, as its outcomes.

    Args:
        folder: of the task.
        ways: with their members.
        rows: of the test split that are scored, None for all; train and validation split are the search's.
        progress: told each run.
    """
    study = StudyFolder(folder / "search")
    prepared = prepare(spec_of(folder).model_copy(update={"seed": TUNING_SEED, "seeds": SEEDS, "test_rows": rows}))
    chosen = dict.fromkeys(Member.from_json(m).configuration for way in ways.values() for m in way["members"])
    candidates = baselines(prepared.shapes, prepared.budget, True, prepared.spec)
    candidates += [Candidate(c.key, "finalist", c) for c in chosen]
    runs = StudyFolder(folder / f"retrained-{prepared.spec.full_steps}-steps-{len(prepared.task.test)}-rows")
    runs.create()
    runs.mend_runs()
    limits, every = prepared.limits, {c.name for c in candidates}
    full = FullLength(runs, prepared.spec, prepared.shapes, prepared.objectives, limits, iter, lambda *_: every)
    if left := full.left(candidates):
        workers = load_workers(prepared, load_resident(prepared, study.read(), progress), progress, stored=study.read())
        progress.stage("training again", left)
        replace(full, train=workers.run).run(candidates, lambda name, _: progress.step(name), progress.more)
        workers.close()
        progress.close()
    return replace(read_study(study.path), outcomes=runs.outcomes())


def figures(folder: Path, asked: dict, ways: dict[str, dict], known: StudyResult) -> dict:
    """Everything that is printed of a task, in figures.json too."""
    quality = known.objectives.quality
    scores = {o.name: ends(estimate(o.runs(quality, "test"))) for o in known.outcomes if o.role != "finalist"}
    sizes = {o.name: o.trainable for o in known.outcomes if o.role != "finalist"}
    found = {
        name: {**way, **figures_of([Member.from_json(m) for m in way["members"]], known)} for name, way in ways.items()
    }
    told = {"asked": asked, "metric": quality.name, "ways": found, "baselines": scores, "sizes": sizes}
    write_whole(folder / "figures.json", json.dumps(told, indent=1))
    return told


def print_task(told: dict, title: str) -> None:
    """A row per way, and one per baseline."""
    rows = [
        {
            "way": name,
            "trials": way["trials"],
            "s": round(way["seconds"]),
            "steps": way["steps"],
            "members": len(way["members"]),
            **{column: text(way[column]) for column in ("hypervolume", *PARTS)},
            "equivalent": way["equivalent"],
            "within": way["within"],
        }
        for name, way in told["ways"].items()
    ]
    print_rows(rows, f"{title}; {told['metric']} on the test split; least parameters, of uniform LoRA's")
    print_rows(
        [{"baseline": n, "parameters": told["sizes"][n], "score": text(s)} for n, s in told["baselines"].items()], ""
    )


def same_as_before(folder: Path, asked: dict) -> None:
    """Refuse a folder that was made with other options."""
    file = folder / "asked.json"
    if file.is_file() and json.loads(file.read_text()) != asked:
        sys.exit(f"{folder} was made with other options, another portfolio or other rates: give another --out.")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps(asked, indent=1))


def main() -> None:
    if sys.argv[1:2] == ["summary"]:
        tasks = [json.loads((Path(folder) / "figures.json").read_text()) for folder in sys.argv[2:]]
        return print_rows(differences(tasks), f"means over {len(tasks)} tasks with 95 % intervals")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", default="minilm-l6")
    parser.add_argument("--time", required=True)
    parser.add_argument("--budget", default="1%")
    parser.add_argument("--out", type=Path, help="(default: runs/live/DATA-MODEL-TIME)")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--portfolio", type=Path, default=portfolio.FILE)
    parser.add_argument("--rates", type=Path, default=rates.FILE)
    parser.add_argument("--scored-rows", type=int, help="test rows for those that are trained again (default: all)")
    options, further = parser.parse_known_args()
    folder = options.out or Path("runs/live") / f"{options.data}-{options.model}-{options.time}"
    asked = {name: getattr(options, name) for name in ("data", "model", "time", "budget")} | {"further": further}
    asked |= {f"{name} file": str(getattr(options, name)) for name in ("portfolio", "rates")}
    asked |= {name: getattr(options, name).read_text() for name in ("portfolio", "rates")}
    same_as_before(folder, asked)
    progress = Progress()
    ways = run_ways(folder, asked, options.ways.split(","), progress)
    known = retrained(folder, ways, options.scored_rows, progress)
    title = (
        f"{options.data}, {options.model}, {options.time}, budget {known.budget:,}, {torch.get_num_threads()} threads"
    )
    print_task(figures(folder, asked, ways, known), title)


if __name__ == "__main__":
    try:
        main()
    except AutopeftError as error:
        sys.exit(str(error))
