"""Every method and every procedure of the registries, measured alike on MiniLM-L6: time, memory, accuracy.

    python tests/benchmarks/catalogue.py time                  # seconds per step against plain LoRA, peak memory (run it alone)
    python tests/benchmarks/catalogue.py train [--workers 1]   # accuracy: hours; it resumes
    python tests/benchmarks/catalogue.py print                 # the tables of docs/catalogue.md
    python tests/benchmarks/catalogue.py evidence              # what it holds of methods as a task of the benchmark of tasks

Everything is kept in studies/catalogue.jsonl, a line per measurement. "Full length" is that of the tabular benchmarks
(studies/benchmark.yaml): 96 steps of 16 rows of 4,000; 300 validation rows, 1,000 test rows.

At a budget a method is given its configuration with the most adapted layers, counted from the top, and among these the
one with the most parameters; what no configuration of it meets is trained at its default instead, and marked. Its
learning rate is the best of three (by validation loss, half the length, seed 0, on rotten-tomatoes, at the larger
budget) and is used on both data sets and at both budgets; the scores are of seeds 1 to 3. Where one of the seeds ends
there with a higher validation loss than the linear probe's, the second-best rate is given the seeds too, and the lower
mean stands. A procedure trains LoRA, or where it refuses that the full backbone.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import json
import math
import multiprocessing
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch
from peft import PeftType
from scipy.stats import spearmanr

from autopeft.backbone.prefix import PrefixCache
from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.files import write_whole
from autopeft.base.progress import Progress
from autopeft.configuration import Configuration
from autopeft.executor.workers import Workers
from autopeft.methods import REGISTRY as METHODS
from autopeft.methods import Method, count, get_method, peft_fields, refusal
from autopeft.prepare import Prepared, prepare
from autopeft.procedures import REGISTRY as PROCEDURES
from autopeft.proxy.curve import Curve
from autopeft.proxy.job import Job
from autopeft.proxy.session import Session
from autopeft.proxy.trainer import Trainer
from autopeft.resident import load_resident, load_workers
from autopeft.space import build_space, parse_budget
from autopeft.space.branch import Branch
from autopeft.space.relative import RelativeConfiguration
from autopeft.space.space_file import SpaceFile
from autopeft.study.spec import StudySpec
from autopeft.tabular.evidence import FORMAT, EvidenceRun

KEPT = Path(__file__).parents[2] / "studies" / "catalogue.jsonl"
DATA = ("rotten-tomatoes", "vader-movies")
BUDGETS = ("1%", "0.1%")
SEEDS = (1, 2, 3)
TUNING = (0.35, 0.5, 0.7)  # where in a method's range of learning rates, on a log scale, each is tried
STEPS = 12  # timed per method, after WARM that are not
WARM = 3


@dataclass(frozen=True)
class Entry:
    """A method trained plainly, or a procedure that trains `method`."""

    method: str
    procedure: str = "plain"

    @property
    def name(self) -> str:
        return self.method if self.procedure == "plain" else f"{self.procedure} x {self.method}"


def entries(shapes: BackboneShapes) -> list[Entry]:
    """What applies to the backbone, methods first."""
    found = [Entry(name) for name in sorted(METHODS) if not refusal(name, shapes)]
    for name in sorted(set(PROCEDURES) - {"plain"}):
        fits = [m for m in ("lora", "full") if not PROCEDURES[name].refuses((m,), shapes)]
        found += [Entry(m, name) for m in fits[:1]]
    return found


def configuration(entry: Entry, shapes: BackboneShapes, budget: int | None, at: float = 0.5) -> Configuration | None:
    """The entry's configuration at a budget (None: its default on every layer it can adapt), None if it has none.

    at: where in the method's range of learning rates, on a log scale.
    """
    method, how = get_method(entry.method), PROCEDURES[entry.procedure]
    found = default(method, shapes) if budget is None else largest(method, shapes, budget)
    if found is None:
        return None
    low, high = (how.learning_rate_factor * rate for rate in method.learning_rate)
    return Configuration.of(entry.method, *found, low * (high / low) ** at, entry.procedure, dict(how.defaults))


def default(method: Method, shapes: BackboneShapes) -> tuple[dict, tuple[int, ...]]:
    """The default settings, or the first choice where this backbone lacks the default, on the widest set of layers."""
    choices = dict(branch_of(method, shapes).choices)
    settings = {k: method.defaults[k] if method.defaults[k] in v else v[0] for k, v in choices.items()}
    return settings, layer_sets(method, shapes)[0]


def largest(method: Method, shapes: BackboneShapes, budget: int) -> tuple[dict, tuple[int, ...]] | None:
    """Of what meets the budget the most layers, then the most parameters, then the most settings at their default."""
    branch = branch_of(method, shapes)
    for layers in layer_sets(method, shapes):
        sized = [(count(branch.configuration(s, layers, 1e-3), shapes), s) for s in branch.completions({})]
        fits = [
            (n, sum(method.defaults.get(k) == v for k, v in s.items()), i)
            for i, (n, s) in enumerate(sized)
            if n <= budget
        ]
        if fits:
            return sized[max(fits)[2]][1], layers
    return None


def branch_of(method: Method, shapes: BackboneShapes) -> Branch:
    return build_space(method.name, SpaceFile(methods={method.name: None}), shapes).branches[0]


def layer_sets(method: Method, shapes: BackboneShapes) -> list[tuple[int, ...]]:
    """The layers that are tried, most first: those above a frozen prefix, or a single one."""
    top = shapes.num_layers
    if method.layers == "one":
        return [(top - 1,)]
    every = [tuple(range(first, top)) for first in range(top)]
    return {"none": [()], "all": every[:1]}.get(method.layers, every)


class Kept:
    """The lines of studies/catalogue.jsonl."""

    def __init__(self, path: Path = KEPT):
        self.path = path
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        self.lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def add(self, **line) -> None:
        self.lines.append(line)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def of(self, kind: str, **same) -> list[dict]:
        return [x for x in self.lines if x["kind"] == kind and all(x[k] == v for k, v in same.items())]


def open_data(data: str):
    """The study of the tabular benchmarks on one data set, and its trainer in this process."""
    prepared = prepare(StudySpec.read("benchmark", **{"data": data}))
    backbone, tokenised, precision = load_resident(prepared, None, Progress(quiet=True))
    prefix = PrefixCache(backbone, tokenised, prepared.spec.prefix_bytes)
    spec = prepared.spec
    return prepared, Trainer(backbone, tokenised, spec.batch_size, spec.head_rate, prefix), precision


def measure_time(kept: Kept, only: list[str]) -> None:
    """Each entry at its default in a process of its own, on one thread, followed by plain LoRA in the same process."""
    prepared, trainer, precision = open_data(DATA[0])
    trainer.prefix = None  # a step's whole cost
    torch.set_num_threads(1)
    reference = configuration(Entry("lora"), prepared.shapes, None)
    step_seconds(trainer, reference)
    fork = multiprocessing.get_context("fork")
    for entry in entries(prepared.shapes):
        if kept.of("time", name=entry.name) or (only and entry.name not in only):
            continue
        own = configuration(entry, prepared.shapes, None)
        answer = fork.SimpleQueue()
        process = fork.Process(target=time_in_process, args=(trainer, own, reference, answer))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{entry.name} ended with {process.exitcode}.")
        line = answer.get()
        kept.add(
            kind="time",
            name=entry.name,
            configuration=own.to_json(),
            parameters=count(own, prepared.shapes),
            format=precision.format,
            **line,
        )
        print(
            f"{entry.name}: {line['step']:.4f} s, {line['step'] / line['lora']:.2f} of LoRA, {line['memory'] / 1e6:.0f} MB"
        )


def time_in_process(trainer: Trainer, own: Configuration, reference: Configuration, answer) -> None:
    torch.set_num_threads(1)
    before = psutil.Process().memory_info().rss
    step_seconds(trainer, own)  # oneDNN makes its kernels anew for every shape: the second time they are there
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    answer.put({"step": step_seconds(trainer, own), "memory": memory, "lora": step_seconds(trainer, reference)})


def step_seconds(trainer: Trainer, configuration: Configuration) -> float:
    """The mean over steps after the first few, everything that a step does included."""
    job = Job(configuration, 0, 96, WARM + STEPS, tuple(range(1, WARM + STEPS + 1)))
    with trainer.attached(job) as (model, place):
        session = Session(trainer, model, place, [trainer.run_of(model, job, own=True)])
        ends = [time.perf_counter() for _ in session.advance()]
    return float(np.mean(np.diff(ends)[WARM - 1 :]))


def train(kept: Kept, workers: int) -> None:
    """Tune on the first data set, then the seeds: the larger budget first."""
    for budget in BUDGETS:
        for data in DATA:
            prepared = prepare(StudySpec.read("benchmark", data=data, workers=workers))
            quiet = Progress(quiet=True)
            pool = load_workers(prepared, load_resident(prepared, None, quiet), quiet)
            if budget == BUDGETS[0] and data == DATA[0]:
                run(kept, pool, "tuning", data, budget, tuning_jobs(kept, prepared, data))
                run(kept, pool, "seed", data, budget, seed_jobs(kept, prepared, data, budget))  # shows who collapses
            run(kept, pool, "seed", data, budget, seed_jobs(kept, prepared, data, budget))
            pool.close()


def chosen(entry: Entry, shapes: BackboneShapes, budget: str, at: float = 0.5) -> Configuration:
    """At the budget, or the default where nothing meets it."""
    own = configuration(entry, shapes, parse_budget(budget, shapes.backbone_parameters), at)
    return own or configuration(entry, shapes, None, at)


def tuning_jobs(kept: Kept, prepared: Prepared, data: str) -> list[tuple[dict, Job]]:
    steps = prepared.spec.full_steps // 2
    return [
        ({"name": entry.name, "at": at}, Job(chosen(entry, prepared.shapes, BUDGETS[0], at), 0, steps, steps))
        for entry in entries(prepared.shapes)
        for at in TUNING
        if not kept.of("tuning", name=entry.name, at=at)
    ]


def seed_jobs(kept: Kept, prepared: Prepared, data: str, budget: str) -> list[tuple[dict, Job]]:
    """What another budget already trained with the same configuration is not trained again.

    Jobs score the validation split at their end. Only where rates are chosen is that wanted: else it is cut to 16 rows.
    """
    steps, jobs = prepared.spec.full_steps, []
    deciding = (data, budget) == (DATA[0], BUDGETS[0])
    for entry in entries(prepared.shapes):
        for at in rates(kept, entry, prepared.shapes) if deciding else best_rate(kept, entry, prepared.shapes):
            own = chosen(entry, prepared.shapes, budget, at)
            for seed in SEEDS:
                if not kept.of("seed", name=entry.name, data=data, seed=seed, key=own.key):
                    job = Job(own, seed, steps, steps, rows=None if deciding else 16, test=True)
                    jobs.append(({"name": entry.name, "seed": seed, "key": own.key}, job))
    return jobs


def rates(kept: Kept, entry: Entry, shapes: BackboneShapes) -> list[float]:
    """The places in the range that are given seeds: that of the lowest validation loss; the next where it collapses."""
    found = sorted((x["loss"], x["at"]) for x in kept.of("tuning", name=entry.name) if x["loss"] is not None)
    probe = max((x["loss"] for x in kept.of("seed", name="head_only", data=DATA[0])), default=np.inf)
    collapses = found and any(loss > probe for loss in deciding_losses(kept, entry, shapes, found[0][1]))
    return [at for _, at in found[: 2 if collapses else 1]]


def best_rate(kept: Kept, entry: Entry, shapes: BackboneShapes) -> list[float]:
    """Of `rates` the one whose seeds have the lower mean validation loss, in a list; empty if every run failed."""
    tried = rates(kept, entry, shapes)
    losses = {at: deciding_losses(kept, entry, shapes, at) for at in tried}
    return sorted(tried, key=lambda at: np.mean(losses[at]) if losses[at] else np.inf)[:1]


def deciding_losses(kept: Kept, entry: Entry, shapes: BackboneShapes, at: float) -> list[float]:
    """Validation losses of the seeds at a rate, where rates are chosen."""
    runs = kept.of("seed", name=entry.name, data=DATA[0], key=chosen(entry, shapes, BUDGETS[0], at).key)
    return [np.inf if x["failure"] else x["loss"] for x in runs if x["failure"] or x["loss"] is not None]


def run(kept: Kept, pool: Workers, kind: str, data: str, budget: str, work: list[tuple[dict, Job]]) -> None:
    """Train and keep; a run that fails is kept with no score."""
    began = time.monotonic()
    for number, (place, done) in enumerate(pool.run([job for _, job in work]), start=1):
        facts, job = work[place]
        curve = done.curve
        kept.add(
            kind=kind,
            data=data,
            **facts,
            configuration=job.configuration.to_json(),
            parameters=count(job.configuration, pool.trainer.backbone.shapes),
            failure=done.failure,
            loss=curve and curve.validation_loss[-1] if job.rows is None else None,
            test=curve and curve.test_score,
        )
        left = (time.monotonic() - began) / number * (len(work) - number)
        print(
            f"{kind} {data} {budget} {number}/{len(work)} {facts['name']}: {done.failure or curve.validation_loss[-1]:.4}, {left / 60:.0f} min left",
            flush=True,
        )


def tables(kept: Kept) -> str:
    """Markdown: methods, then procedures; accuracy in per cent, mean and half the range of three seeds."""
    shapes = prepare(StudySpec.read("benchmark")).shapes
    head = [
        "",
        "what it is",
        "parameters",
        "of peft",
        "s/step : LoRA",
        "peak MB",
        *(f"{d}, {b}" for b in BUDGETS for d in DATA),
    ]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for entry in entries(shapes):
        lines.append("| " + " | ".join([entry.name, *row(kept, entry, shapes)]) + " |")
    return "\n".join(lines)


def row(kept: Kept, entry: Entry, shapes: BackboneShapes) -> list[str]:
    own = configuration(entry, shapes, None)
    timed = kept.of("time", name=entry.name)
    ratio, memory = (
        (f"{timed[0]['step'] / timed[0]['lora']:.2f}", f"{timed[0]['memory'] / 1e6:.0f}") if timed else ("", "")
    )
    kind = peft_fields(own, shapes)["peft_type"]
    cells = [accuracy(kept, entry, shapes, d, b) for b in BUDGETS for d in DATA]
    what = METHODS[entry.method] if entry.procedure == "plain" else PROCEDURES[entry.procedure]
    return [
        what.title,
        f"{count(own, shapes):,}",
        f"peft {kind}" if kind in {t.value for t in PeftType} else "ours",
        ratio,
        memory,
        *cells,
    ]


def accuracy(kept: Kept, entry: Entry, shapes: BackboneShapes, data: str, budget: str) -> str:
    if not best_rate(kept, entry, shapes):
        return "diverged" if kept.of("tuning", name=entry.name) else ""
    own, runs = seed_runs(kept, entry, shapes, data, budget)
    scores = [100 * x["test"] for x in runs if x["test"] is not None]
    if len(scores) < len(SEEDS):
        return "diverged" if any(x["failure"] for x in runs) else ""
    over = "" if count(own, shapes) <= parse_budget(budget, shapes.backbone_parameters) else "*"
    return f"{np.mean(scores):.1f} ± {np.ptp(scores) / 2:.1f}{over}"


def seed_runs(kept: Kept, entry: Entry, shapes: BackboneShapes, data: str, budget: str) -> tuple:
    """What the entry trains at a budget, and the kept lines of its seeds."""
    own = chosen(entry, shapes, budget, *best_rate(kept, entry, shapes))
    return own, kept.of("seed", name=entry.name, data=data, key=own.key)


def agreement(kept: Kept) -> str:
    """How alike the two data sets rank the entries, how far apart seeds are, and how many come close to full training."""
    shapes = prepare(StudySpec.read("benchmark")).shapes
    lines = []
    for budget in BUDGETS:
        columns = [
            [[x["test"] for x in seed_runs(kept, e, shapes, d, budget)[1]] for e in entries(shapes)] for d in DATA
        ]
        whole = [all(None not in c[i] and len(c[i]) == len(SEEDS) for c in columns) for i in range(len(columns[0]))]
        seeds = [np.array([x for x, ok in zip(c, whole) if ok]) for c in columns]
        means = [x.mean(axis=1) for x in seeds]
        within = [100 * float(np.median(x.std(axis=1, ddof=1))) for x in seeds]
        full = [e.name for e, ok in zip(entries(shapes), whole) if ok].index("full")
        near = np.all([100 * (x[full] - x) <= 2 for x in means], axis=0).sum()
        lines.append(
            f"{budget}: {sum(whole)} entries, {near} within two points of full fine-tuning on both data sets; "
            f"Spearman between the data sets {spearmanr(*means).statistic:.2f}; "
            f"median standard deviation over an entry's seeds {within[0]:.1f} and {within[1]:.1f} points"
        )
    return "\n".join(lines)


def evidence(kept: Kept) -> str:
    """The plainly trained methods on one of the data sets (the other shares sentences) as an evidence file's lines."""
    data = DATA[0]
    prepared = prepare(StudySpec.read("benchmark", **{"data": data, "budget": BUDGETS[0]}))
    spec, shapes, length = prepared.spec, prepared.shapes, prepared.spec.full_steps
    about = {"format": FORMAT, "spec": spec.model_dump(), "task": prepared.task.summary(), "shapes": shapes.to_json()}
    runs = [
        evidence_run(line, shapes, length // 2 if line["kind"] == "tuning" else length)
        for line in kept.lines
        if line["kind"] != "time" and line["data"] == data and line["failure"] is None and " x " not in line["name"]
    ]
    small = [r for r in runs if r.role != "candidate" or 0 < r.trainable <= prepared.budget]
    return "".join(json.dumps(x) + "\n" for x in (about, *(r.to_json() for r in small)))


def evidence_run(line: dict, shapes: BackboneShapes, steps: int) -> EvidenceRun:
    configuration = Configuration.from_json(line["configuration"])
    role = {"head_only": "linear probe", "full": "full fine-tuning"}.get(configuration.method, "candidate")
    seed = line.get("seed", SEEDS[0])
    loss, score = (
        line.get("loss", math.nan),
        line.get("score", line["test"]),
    )  # the first lines kept the test split only
    curve = Curve(seed, (steps,), (math.nan,), (loss,), (score,), 0.0, 0, test_score=line["test"])
    relative = RelativeConfiguration.of(configuration, shapes) if role == "candidate" else None
    return EvidenceRun(role, relative and relative.to_json(), configuration, line["parameters"], seed, curve)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("time", "train", "print", "evidence"))
    parser.add_argument("--only", nargs="*", default=[], help="of `time`: these entries")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    kept = Kept()
    if arguments.part == "time":
        measure_time(kept, arguments.only)
    elif arguments.part == "train":
        train(kept, arguments.workers)
    elif arguments.part == "evidence":
        write_whole(KEPT.parent / "evidence" / "movie-reviews.jsonl", evidence(kept))
    else:
        print(tables(kept), agreement(kept), sep="\n\n")


if __name__ == "__main__":
    main()
