"""Is the trace's cut a good one on the 30 layers of SmolLM2? Train the layers above each of nine cuts and compare.

    python tests/benchmarks/cut_sweep.py train     # hours; it resumes, and what is there is a complete smaller sweep
    python tests/benchmarks/cut_sweep.py trace     # the deviations of the layers, group by group of rows; it resumes
    python tests/benchmarks/cut_sweep.py time      # seconds of a step beside its operations; then two of them at once
    python tests/benchmarks/cut_sweep.py print     # losses, regrets and the stability of the cut

Every run is a line of studies/cuts.jsonl, every group of rows one of studies/cut_traces.jsonl. Time is counted:
operations of forward and backward of a step, the forward of the frozen layers paid at every step. "Equal time" gives
each cut as many steps as fit into STEPS steps at cut 0, "equal steps" gives each cut STEPS, and "equal measured time"
goes by the seconds that `time` measured. That the runs read the frozen states from a store, which makes deep cuts
cheaper to run here, enters none of them. Rates are the better of two at cut RATE_CUT, one per task and method.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache, cached_property
from pathlib import Path

import cut_traces
import numpy as np
import torch
from cut_report import print_tables
from cut_traces import read
from oracle_sweep import configuration

from autopeft.backbone.prefix import PrefixCache
from autopeft.costs import Step, train_flops
from autopeft.proxy.job import Job
from autopeft.proxy.precision import Precision, pin, resident
from autopeft.proxy.session import Session
from autopeft.proxy.trainer import Trainer
from autopeft.tasks import load_task
from autopeft.tasks.batches import collate, endless, unit_batches
from autopeft.tasks.tokens import tokenise

KEPT = Path(__file__).parents[2] / "studies" / "cuts.jsonl"
MODEL, LAYERS, MAX_LENGTH = "smollm2-135m", 30, 64
CUTS = (29, 0, 16, 8, 24, 4, 12, 20, 28)  # the deepest fills the store for the others; then ever finer
TASKS = {
    "instruction": ({"data": "openbookqa-answers", "train_rows": 256, "validation_rows": 96}, 4),
    "choice": ({"data": "openbookqa", "task": "choice", "train_rows": 160, "validation_rows": 64}, 2),
}
STEPS = 24  # of a run at cut 0
RATES = {"lora": (1e-3, 4e-3), "full_layers": (5e-5, 2e-4)}
RATE_CUT, RATE_SEED = 16, 0  # at half the length
FASTER = (29, 24)  # cuts that are also trained at four times the rate: do few layers want a higher one?
# Share of a step at cut 0 that `time` measured: a frozen layer is cheaper than its operations (instruction, LoRA).
MEASURED = {29: 0.31, 24: 0.41, 16: 0.58, 8: 0.78, 0: 1.0}
# What is run, in this order: seed, method, what every cut has equal.
STAGES = [
    (1, "lora", "time"),
    (1, "full_layers", "time"),
    (2, "lora", "time"),
    (2, "full_layers", "time"),
    (1, "lora", "measured time"),
    (2, "lora", "measured time"),
    (1, "lora", "steps"),
    (1, "full_layers", "steps"),
    (2, "lora", "steps"),
    (2, "full_layers", "steps"),
    (3, "lora", "time"),
    (3, "full_layers", "time"),
]
TIMED, TIMED_CUTS = 3, (0, 8, 16, 24, 29)  # steps
STORE = 3 * 2**30  # bytes of frozen states, at most


@dataclass(frozen=True)
class Asked:
    """One training run."""

    task: str
    method: str
    cut: int
    seed: int
    steps: int
    rate: float

    @classmethod
    def of(cls, line: dict) -> "Asked":
        """The run that a line is of."""
        return cls(**{f.name: line[f.name] for f in fields(cls)})


class Bench:
    """A task on the resident backbone."""

    def __init__(self, name: str) -> None:
        source, self.batch_size = TASKS[name]
        task = load_task(**source, test_rows=20)
        self.backbone = resident(MODEL, task.outputs, Precision("bf16", "sdpa", {}), kind=task.kind)
        self.tokenised = tokenise(task, self.backbone.tokenizer, MAX_LENGTH)

    @cached_property
    def trainer(self) -> Trainer:
        """Reads frozen states from a store."""
        return Trainer(
            self.backbone, self.tokenised, self.batch_size, prefix=PrefixCache(self.backbone, self.tokenised, STORE)
        )

    @cached_property
    def sizes(self) -> list[Step]:
        """Of the steps of an epoch."""
        return [self.size(x) for x in unit_batches(self.tokenised.train, self.batch_size, np.random.default_rng(0))]

    def size(self, rows: np.ndarray) -> Step:
        """Of the step on these rows."""
        inputs, _ = collate(self.tokenised.train, rows, self.tokenised.pad_token_id)
        return Step(*inputs["input_ids"].shape, 2, "sdpa", target_tokens=len(inputs["logits_to_keep"]))

    def flops(self, method: str, cut: int) -> float:
        """Counted operations of a step, the mean over an epoch."""
        chosen = configuration(method, cut, LAYERS, 1.0)
        return float(np.mean([train_flops(chosen, self.backbone.shapes, step) for step in self.sizes]))

    def steps(self, method: str, cut: int) -> int:
        """How many steps above a cut take as many operations as STEPS steps at cut 0."""
        return round(STEPS * self.flops(method, 0) / self.flops(method, cut))

    def train(self, asked: Asked) -> dict:
        """Train once, and score each validation unit: its loss, its weight in the mean, and whether it is right."""
        job = Job(
            configuration(asked.method, asked.cut, LAYERS, asked.rate), asked.seed, asked.steps, until=asked.steps
        )
        with self.trainer.attached(job) as (model, place):
            session = Session(self.trainer, model, place, [self.trainer.run_of(model, job, own=True)])
            for _ in session.advance():
                pass
            if session.run.failure:
                return {"failure": session.run.failure}
            return {"train_loss": session.run.mean_loss(), **scored(session)}


@torch.no_grad()
def scored(session: Session) -> dict[str, list]:
    """The loss, weight and, of questions, rightness of every validation unit, in their order."""
    split, kind, found = session.tokenised.validation, session.tokenised.kind, []
    for rows in unit_batches(split, kind.evaluation_rows // 4):
        logits, targets = session.logits("validation", rows)
        losses, weights = kind.losses(logits[0], targets)
        units = split.units(rows)
        right = [0.0] * len(units)
        if kind.name == "choice":
            right = [
                float(p[0] == r) for p, r in zip(kind.predictions(logits[0], targets), kind.references(split, units))
            ]
        weights = [1.0] * len(units) if weights is None else weights.tolist()
        found += zip(units.tolist(), losses.tolist(), weights, right)
    _, losses, weights, right = zip(*sorted(found))
    return {"loss": [round(x, 5) for x in losses], "weight": list(weights), "right": list(right)}


bench = cache(Bench)


def mean_loss(line: dict) -> float:
    """The validation loss of a run; infinite if it failed."""
    return float(np.average(line["loss"], weights=line["weight"])) if "loss" in line else float("inf")


def rate_runs(task: str, method: str) -> list[Asked]:
    """The check of the rate: a line for each."""
    return [Asked(task, method, RATE_CUT, RATE_SEED, STEPS // 2, rate) for rate in RATES[method]]


def best_rate(lines: list[dict], task: str, method: str) -> float:
    """Of the check, the rate with the lowest validation loss."""
    asked = rate_runs(task, method)
    return min((mean_loss(x), x["rate"]) for x in lines if Asked.of(x) in asked)[1]


@cache
def lengths(task: str, method: str) -> dict[str, dict[int, int]]:
    """What runs have equal -> cut -> steps."""
    measured = MEASURED if (task, method) == ("instruction", "lora") else {}
    return {
        "time": {cut: bench(task).steps(method, cut) for cut in CUTS},
        "steps": dict.fromkeys(CUTS, STEPS),
        "measured time": {cut: round(STEPS / share) for cut, share in measured.items()},
    }


def planned(lines: list[dict], tasks: Sequence[str], methods: Sequence[str]) -> Iterator[Asked]:
    """Every run of some tasks and methods in its order; lines grows meanwhile."""
    for seed, method, equal in STAGES:
        for task in tasks if method in methods else ():
            yield from rate_runs(task, method)
            rate = best_rate(lines, task, method)
            for cut, steps in lengths(task, method)[equal].items():
                yield Asked(task, method, cut, seed, steps, rate)
            for cut in FASTER if (seed, equal) == (1, "time") else ():
                yield Asked(task, method, cut, seed, bench(task).steps(method, cut), 4 * rate)


def train(kept: Path, tasks: Sequence[str], methods: Sequence[str]) -> None:
    """Run what is missing, a line each, also where another process trains beside this one."""
    pin()
    lines = read(kept)
    for asked in planned(lines, tasks, methods):
        lines[:] = read(kept)
        if asked in map(Asked.of, lines):
            continue
        began, used = time.monotonic(), time.process_time()
        line = asdict(asked) | bench(asked.task).train(asked)
        line |= {"seconds": round(time.monotonic() - began, 1), "cpu_seconds": round(time.process_time() - used, 1)}
        with kept.open("a") as file:
            file.write(json.dumps(line) + "\n")
        lines[:] = read(kept)
        print(f"{asked}: loss {mean_loss(line):.4f}, {line['cpu_seconds']:.0f} of {line['seconds']:.0f} s", flush=True)


def show_times(name: str) -> None:
    """Print the processor seconds of a step above each cut, without a store, beside its counted operations."""
    pin()
    found = bench(name)
    trainer = Trainer(found.backbone, found.tokenised, found.batch_size)
    rows = next(endless(found.tokenised.train, found.batch_size, 0))
    for method in RATES:
        whole: tuple[float, float] | None = None
        for cut in TIMED_CUTS:
            chosen = configuration(method, cut, LAYERS, 1.0)
            flops = train_flops(chosen, found.backbone.shapes, found.size(rows))
            seconds = step_seconds(trainer, Job(chosen, 0, 1, 1), rows)
            whole = whole or (flops, seconds)
            counted, measured = flops / whole[0], seconds / whole[1]
            print(
                f"{name} {method:11s} cut {cut:2d}: {1000 * seconds:.0f} ms, {measured:.3f} of cut 0; counted "
                f"{flops / 1e9:.0f} G, {counted:.3f}; measured / counted {measured / counted:.2f}",
                flush=True,
            )


def step_seconds(trainer: Trainer, job: Job, rows: np.ndarray) -> float:
    """Processor seconds of forward and backward, of the fastest of TIMED after one that warms up."""
    with trainer.attached(job) as (model, place):
        session, seconds = Session(trainer, model, place, [trainer.run_of(model, job, own=True)]), []
        for _ in range(TIMED + 1):
            began = time.process_time()
            session.forward_backward(0, rows)
            seconds.append(time.process_time() - began)
            session.optimiser.zero_grad(set_to_none=True)
    return min(seconds[1:])


def compared(lines: list[dict]) -> list[dict]:
    """The lines that are compared, each with what they have equal; it is nothing where the rate is not the sweep's."""
    found = []
    for x in lines:
        if x["seed"] != RATE_SEED and "loss" in x:
            equal, swept = lengths(x["task"], x["method"]), x["rate"] == best_rate(lines, x["task"], x["method"])
            found.append({**x, "equal": [n for n, of in equal.items() if swept and of.get(x["cut"]) == x["steps"]]})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["train", "trace", "time", "print"])
    parser.add_argument("--kept", type=Path, default=KEPT)
    parser.add_argument("--task", choices=TASKS, help="train on one task only, so that the other can run beside it")
    parser.add_argument("--method", choices=RATES, help="train with one method only, likewise")
    arguments = parser.parse_args()
    tasks, traces = [arguments.task] if arguments.task else list(TASKS), arguments.kept.with_name("cut_traces.jsonl")
    if arguments.command == "train":
        train(arguments.kept, tasks, [arguments.method] if arguments.method else list(RATES))
    elif arguments.command == "print":
        print_tables(compared(read(arguments.kept)), read(traces), bench(tasks[0]).backbone.shapes)
    for task in tasks:
        if arguments.command == "trace":
            pin()
            source = {k: v for k, v in TASKS[task][0].items() if not k.endswith("_rows")}
            cut_traces.measure(traces, task, source, MODEL, MAX_LENGTH)
        elif arguments.command == "time":
            show_times(task)


if __name__ == "__main__":
    main()
