"""Which reading of the first rung ranks as the full length does, whatever the learning rate? Real runs, read in many ways.

    python tests/benchmarks/rungs.py /tmp/rungs.jsonl [--configurations 64] [BENCHMARK ...]
    python tests/benchmarks/rung_tables.py /tmp/rungs.jsonl

The first configurations of a tabular benchmark (any beginning of it is spread) are trained again, up to a little beyond a
quarter of their length, with the benchmark's first seed; what they reach at full length stands in the benchmark. At the
quarter the same run is read as it is, with averages of its weights, and after a short branch whose rate falls to zero. The
run as it is after as many steps more costs what the branch costs. A run is a line; the same command goes on where it was
stopped.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autopeft.backbone.prefix import PrefixCache
from autopeft.base.progress import Progress
from autopeft.prepare import prepare
from autopeft.proxy.job import Job
from autopeft.proxy.session import Session
from autopeft.proxy.trainer import Trainer
from autopeft.resident import load_resident
from autopeft.study.spec import StudySpec
from autopeft.tabular.benchmark import TabularBenchmark
from autopeft.tabular.build import IDENTITY

BENCHMARKS = ("studies/benchmarks/rotten-tomatoes.csv", "studies/benchmarks/vader-movies.csv")
SHARE = 4  # the rung is at 1 / SHARE of the full length, and so long is the branch as a share of the steps so far
FROZEN = 3  # layers that a measured configuration freezes at least: their stored states make its runs cheap
ROWS = 150  # validation rows of a reading, the same ones for all
PREFIX = 2_000_000_000  # bytes of stored hidden states

Weights = Callable[[int], np.ndarray]  # steps so far t -> the weight (t,) of the parameters after each of them


def tail(share: float) -> Weights:
    """The mean over the last share of the steps."""
    return lambda t: (np.arange(1, t + 1) > t - round(share * t)) / round(share * t)


def power(eta: int) -> Weights:
    """Polynomial-decay averaging (Shamir and Zhang 2013, arXiv 1212.1824): the newest has the weight (eta+1)/(t+eta)."""

    def weights(t: int) -> np.ndarray:
        found = np.zeros(t)
        for k in range(1, t + 1):
            newest = (eta + 1) / (k + eta)
            found *= 1 - newest
            found[k - 1] = newest
        return found

    return weights


AVERAGES = {"tail 1/2": tail(1 / 2), "tail 1/3": tail(1 / 3), "power 3": power(3), "power 7": power(7)}


class Branch(Trainer):
    """Trains on from a saved state with a rate that falls to zero by the end of the job."""

    def run_of(self, model: Any, job: Job, own: bool):
        run = super().run_of(model, job, own)
        begin, plain = run.step, run.schedule
        run.schedule = lambda step, steps: plain(begin, steps) * (1 - (step - begin) / (job.until - begin))
        return run


def readings(trainer: Trainer, branch: Trainer, job: Job, rung: int) -> dict[str, Any]:
    """The validation loss of one run at a rung by each reading; not a number where the run failed."""
    history, found = [], {}
    with trainer.attached(job) as (model, place):
        session = Session(trainer, model, place, [trainer.run_of(model, job, own=True)])
        for step in session.advance():
            if step <= rung:
                history.append(torch.cat([p.detach().flatten() for p in session.parameters.values()]))
            if step == rung:
                state = session.run.state()
                found = averaged(session, torch.stack(history))
        if session.run.failure:
            return {"failure": session.run.failure}
        found["raw, later"] = read(session)
    part = replace(job, evaluation_steps=(), state=state)
    with branch.attached(part) as (model, place):
        session = Session(branch, model, place, [branch.run_of(model, part, own=True)])
        for _ in session.advance():
            found["branch"] = read(session)
    return found


@torch.no_grad()
def averaged(session: Session, history: torch.Tensor) -> dict[str, float]:
    """The loss with the parameters (T, P) as they are and with their averages; what is trained is left as it was."""
    found = {"raw": read(session)}
    for name, weights in AVERAGES.items():
        put(session, torch.from_numpy(weights(len(history))).float() @ history)
        found[name] = read(session)
    put(session, history[-1])
    return found


def read(session: Session) -> float:
    """The validation loss of the attached parameters."""
    (reached,) = session.evaluate("validation", ROWS)
    return reached.loss


def put(session: Session, values: torch.Tensor) -> None:
    parts = values.split([p.numel() for p in session.parameters.values()])
    for parameter, part in zip(session.parameters.values(), parts):
        parameter.copy_(part.view_as(parameter))


def work_on(name: str, number: int) -> list[tuple[str, str, Trainer, Trainer, Job, int]]:
    """What is to be trained of a benchmark: (its name, the configuration's key, who trains, the job, the rung)."""
    benchmark = TabularBenchmark.read(name)
    about = benchmark.about
    prepared = prepare(StudySpec.read("benchmark", **{k: about["spec"].get(k) for k in IDENTITY}))
    backbone, tokenised, _ = load_resident(prepared, about, Progress(quiet=True))
    spec, prefix = prepared.spec, PrefixCache(backbone, tokenised, PREFIX)
    trainers = [kind(backbone, tokenised, spec.batch_size, spec.head_rate, prefix) for kind in (Trainer, Branch)]
    rung = spec.full_steps // SHARE
    until = rung + rung // SHARE
    deep = [
        (k, c) for k, c in benchmark.configurations().items() if c.frozen_layers is None or c.frozen_layers >= FROZEN
    ]
    return [
        (name, key, *trainers, Job(c, spec.seed, spec.full_steps, until, tuple(range(1, until))), rung)
        for key, c in deep[:number]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("benchmarks", nargs="*", default=BENCHMARKS)
    parser.add_argument("--configurations", type=int, default=64)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    path = arguments.path
    lines = path.read_text().splitlines() if path.exists() else []
    done = {(r["benchmark"], r["configuration"]) for r in map(json.loads, lines)}
    every = [work_on(name, arguments.configurations) for name in arguments.benchmarks]
    for name, key, trainer, branch, job, rung in (w for turn in zip_longest(*every) for w in turn if w):
        if (name, key) not in done:
            started = time.process_time()
            row = {"benchmark": name, "configuration": key, **readings(trainer, branch, job, rung)}
            with path.open("a") as file:
                file.write(json.dumps(row | {"seconds": time.process_time() - started}) + "\n")


if __name__ == "__main__":
    main()
