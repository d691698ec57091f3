"""One nested LoRA run that is read at every rank and depth, against a separate run for each: is its order right?

    python tests/benchmarks/nesting.py train --data election-tweets --seeds 3 [--model minilm-l3] [--steps 120]
    python tests/benchmarks/nesting.py print

`train` trains LoRA on all linears separately at ranks 1, 2, 4, 8 and 16 on all layers and at rank 8 on the upper sixth and
half of them, and nested runs at rank 16. Three learning rates with seed 1, the best by validation loss with the others.
`print` says how both score, how well each nested run orders ranks and depths, and what each costs. A line per
configuration and seed in studies/nesting.jsonl; what is there is not trained again.

Nested runs (Kusupati et al. 2022, arXiv 2205.13147, is the idea; s_r = alpha / sqrt(r) scales the first r components):

- matryoshka: MatryoshkaLoRA (Modoranu et al. 2026, arXiv 2605.07850, algorithm 1). The update is the sum of the updates of
  every rank, B P A with P_i the sum of s_r over the ranks r >= i, so a step costs what LoRA's costs. It is read at a rank
  as the paper says, with s_r ("scaled"), or with P as it was trained ("kept"), which is not the paper's.
- sampled: each step trains one rank, drawn evenly (DyLoRA, Valipour et al. 2022, arXiv 2210.07558, without freezing the
  components below the drawn one; MatryoshkaLoRA's authors compare with this form).
- depths: matryoshka, and each step adapts as many upper layers as one of the depths, drawn evenly.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from catalogue import Kept

from autopeft.backbone.loading import load_backbone
from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.methods.mechanisms.callback import Callback
from autopeft.prepare import Prepared, prepare
from autopeft.proxy.job import Job
from autopeft.proxy.session import Session
from autopeft.proxy.trainer import Trainer
from autopeft.space.rates import rate_rule
from autopeft.study.spec import StudySpec
from autopeft.tasks.tokens import tokenise

KEPT = Path(__file__).parents[2] / "studies" / "nesting.jsonl"
RANKS = (1, 2, 4, 8, 16)
MIDDLE = 8  # the rank at which depths are compared
NESTED = {"matryoshka": (3e-4, 7e-4, 1.7e-3), "depths": (3e-4, 7e-4, 1.7e-3), "sampled": (3e-4, 1e-3, 3e-3)}


@dataclass(frozen=True)
class Plan:
    """What one run trains: a separate LoRA of a rank on the upper layers, or a nested one."""

    how: str  # "separate", or one of NESTED
    rank: int
    depth: int  # how many of the upper layers are adapted

    def readings(self, layers: int) -> list["Reading"]:
        """Where the run is read; the rank-nested runs at all ranks, those with P kept at all depths too."""
        if self.how == "separate":
            return [Reading(self.rank, self.depth, "scaled")]
        ways = {"matryoshka": ("scaled", "kept"), "sampled": ("scaled",), "depths": ("kept",)}[self.how]
        shallow = [(MIDDLE, d) for d in depths(layers)[:-1]] if "kept" in ways else []
        return [Reading(r, layers, way) for way in ways for r in RANKS] + [Reading(r, d, "kept") for r, d in shallow]


@dataclass(frozen=True)
class Reading:
    """The first `rank` components in the upper `depth` layers, with their own scale or with P kept."""

    rank: int
    depth: int
    way: str

    def __str__(self) -> str:
        return f"{self.way} {self.rank}/{self.depth}"


def depths(layers: int) -> list[int]:
    """A sixth, a half and all of the layers."""
    return sorted({max(1, round(share * layers)) for share in (1 / 6, 1 / 2, 1)})


def truncated(rank: int) -> torch.Tensor:
    """What the components of a LoRA of the largest rank, with its own scale, are multiplied by to be one of this rank."""
    return torch.where(torch.arange(RANKS[-1]) < rank, (RANKS[-1] / rank) ** 0.5, 0.0)


def nested() -> torch.Tensor:
    """The diagonal of MatryoshkaLoRA's P over the largest rank's scale."""
    return torch.stack([truncated(rank) for rank in RANKS]).sum(0)


class Gates:
    """Multiplies what comes out of every A by a vector of its layer (r,), so ranks and layers can be switched off."""

    def __init__(self, model: torch.nn.Module, shapes: BackboneShapes, rank: int) -> None:
        self.of = torch.ones(shapes.num_layers, rank)
        for name, module in model.named_modules():
            if name.endswith("lora_A.default"):
                module.register_forward_hook(partial(self._gated, layer=shapes.layer_of(name)))

    def _gated(self, _: torch.nn.Module, __: tuple, out: torch.Tensor, layer: int) -> torch.Tensor:
        return out * self.of[layer]

    def set(self, vector: torch.Tensor, depth: int) -> None:
        """The same vector in the upper layers, nothing in those below."""
        self.of = torch.zeros_like(self.of)
        self.of[len(self.of) - depth :] = vector

    def read(self, reading: Reading) -> None:
        """Set a nested run to one of its readings."""
        kept = nested() * (truncated(reading.rank) > 0)
        self.set(kept if reading.way == "kept" else truncated(reading.rank), reading.depth)


class Nesting(Callback):
    """Before each step the gates of a nested run."""

    def __init__(self, session: Session, how: str, gates: Gates) -> None:
        super().__init__(session, {})
        self.how, self.gates = how, gates

    def before_forward(self, step: int) -> None:
        drawn = np.random.default_rng((self.session.seed, step))
        layers = len(self.gates.of)
        vector = truncated(int(drawn.choice(RANKS))) if self.how == "sampled" else nested()
        self.gates.set(vector, int(drawn.choice(depths(layers))) if self.how == "depths" else layers)


def configuration(plan: Plan, layers: int, rate: float) -> Configuration:
    """The LoRA that is attached; nested ones have the scale of MatryoshkaLoRA's code, separate ones the default's."""
    settings = {"rank": plan.rank, "target_modules": "all-linear", "rslora": plan.how != "separate"}
    return Configuration.of("lora", settings, range(layers - plan.depth, layers), rate)


@contextmanager
def opened(trainer: Trainer, plan: Plan, rate: float, seed: int, steps: int) -> Iterator[tuple[Session, Gates]]:
    """A session of the run at its beginning."""
    shapes = trainer.backbone.shapes
    job = Job(configuration(plan, shapes.num_layers, rate), seed, steps, steps)
    with trainer.attached(job) as (model, place):
        session = Session(trainer, model, place, [trainer.run_of(model, job, own=True)])
        yield session, Gates(model, shapes, plan.rank)


def train(trainer: Trainer, plan: Plan, rate: float, seed: int, steps: int) -> tuple[dict, dict, float]:
    """One run: (what was trained by name, validation loss and score at each reading, seconds of processor of the steps)."""
    with opened(trainer, plan, rate, seed, steps) as (session, gates):
        if plan.how != "separate":
            session.callbacks.append(Nesting(session, plan.how, gates))
        began = time.process_time()
        for _ in session.advance():
            seconds = time.process_time() - began
        if session.run.failure:
            return {}, {}, 0.0
        values = {name: p.detach().clone() for name, p in session.parameters.items()}
        return values, read(session, gates, plan, "validation"), seconds


def read(session: Session, gates: Gates, plan: Plan, part: str) -> dict[str, tuple[float, float]]:
    """Loss and score on a split at each of a run's readings."""
    found = {}
    for reading in plan.readings(len(gates.of)):
        if plan.how != "separate":
            gates.read(reading)
        (judged,) = session.evaluate(part, None)
        found[str(reading)] = (judged.loss, judged.score)
    return found


@torch.no_grad()
def scored_on_test(trainer: Trainer, plan: Plan, values: dict, seed: int) -> dict[str, tuple[float, float]]:
    """Loss and score of a trained run on the test split at each reading."""
    with opened(trainer, plan, 0.0, seed, 1) as (session, gates):
        for name, parameter in session.parameters.items():
            parameter.copy_(values[name])
        return read(session, gates, plan, "test")


def best_rates(runs: dict[str, dict]) -> dict[str, str]:
    """Way of reading -> the rate with the lowest validation loss, in the mean over the readings of this way."""
    ways = {reading.split()[0] for found in runs.values() for reading in found}

    def loss(rate: str, way: str) -> float:
        return float(np.mean([v[0] for k, v in runs[rate].items() if k.startswith(way)] or [np.inf]))

    return {way: min(runs, key=lambda rate: loss(rate, way)) for way in sorted(ways)}


def measure(kept: Kept, spec: StudySpec, plan: Plan, trainer: Trainer, prepared: Prepared, seed: int) -> None:
    """Train one plan with one seed, unless it is there: at three rates with seed 1, else at those that were the best."""
    where = {"data": spec.data, "model": spec.model, "steps": spec.full_steps, **vars(plan)}
    if kept.of("nesting", seed=seed, **where):
        return
    layers = prepared.shapes.num_layers
    first = kept.of("nesting", seed=1, **where)
    rates = NESTED.get(plan.how) or rate_rule().around(configuration(plan, layers, 1e-3), prepared.shapes, 3)
    rates = sorted({float(rate) for rate in first[0]["best"].values()}) if first else rates
    done = {str(rate): train(trainer, plan, rate, seed, spec.full_steps) for rate in rates}
    runs = {rate: readings for rate, (_, readings, _) in done.items()}
    best = first[0]["best"] if first else best_rates(runs)
    tested = {rate: scored_on_test(trainer, plan, done[rate][0], seed) for rate in set(best.values()) if done[rate][0]}
    seconds = [round(s, 2) for _, _, s in done.values()]
    kept.add(kind="nesting", **where, seed=seed, best=best, validation=runs, test=tested, seconds=seconds)
    print(f"{spec.data} seed {seed} {plan}: {best}, {seconds} s", flush=True)


def main() -> None:
    from nesting_tables import tables

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "print"))
    parser.add_argument("--data", default="election-tweets")
    parser.add_argument("--model", default="minilm-l3")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--how", default=",".join(("separate", *NESTED)), help="what is trained, joined by commas")
    arguments = parser.parse_args()
    kept = Kept(KEPT)
    if arguments.what == "print":
        print(tables(kept.lines))
        return
    torch.set_num_threads(1)
    rows = {"train_rows": 4000, "validation_rows": 300, "test_rows": 600, "max_length": 24, "batch_size": 16}
    spec = StudySpec(model=arguments.model, data=arguments.data, full_steps=arguments.steps, **rows)
    prepared = prepare(spec)
    backbone = load_backbone(spec.model, prepared.task.outputs, kind=prepared.task.kind)
    tokenised = tokenise(prepared.task, backbone.tokenizer, spec.max_length, spec.pattern)
    trainer = Trainer(backbone, tokenised, spec.batch_size, spec.head_learning_rate, packing=False)
    layers = prepared.shapes.num_layers
    plans = [Plan("separate", rank, layers) for rank in RANKS]
    plans += [Plan("separate", MIDDLE, depth) for depth in depths(layers)[:-1]]
    plans += [Plan(how, RANKS[-1], layers) for how in NESTED]
    for seed in range(1, arguments.seeds + 1):
        for plan in plans:
            if plan.how in arguments.how.split(","):
                measure(kept, spec, plan, trainer, prepared, seed)


if __name__ == "__main__":
    main()
