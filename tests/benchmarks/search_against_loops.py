"""How much faster is autopeft than the loop a user would write, at the same front?

    python tests/benchmarks/search_against_loops.py [--data NAME] [--trials 27] [--fair-trials 27] [--slow-trials 3] [--levers 7] [--equation]

Every system is given the same configurations, in the same order, one system after the other in this one call:
autopeft (as `autopeft search` runs its trials), full length (autopeft with --rungs none), fair (one process, dynamic
padding, fp32, full length), naive (Optuna + Trainer, padded to 128) and published (a process per trial). Fewer
--fair-trials and --slow-trials than --trials are spread over the configurations and scaled by what these took in the
full-length search; 0 leaves a loop out. --levers N adds autopeft's levers one by one on N configurations.

Quality: the hypervolume of (log10 parameters, test score) of the front that autopeft picks by validation loss, over
that of the front that the full-length search picks; the members of both are re-trained at full length with seeds that
neither search has seen, and the reference is the budget and the linear probe.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import json
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import optuna
import torch
from loops import LOOPS, sample

from autopeft.backbone.prefix import PrefixCache
from autopeft.backbone.prefix_folder import identity, prepared_folder
from autopeft.base.pareto import hypervolume, non_dominated
from autopeft.base.progress import Progress
from autopeft.configuration import Configuration
from autopeft.executor.workers import Stages
from autopeft.methods import count
from autopeft.prepare import Prepared, prepare
from autopeft.proxy.job import Job
from autopeft.proxy.precision import Precision, resident
from autopeft.proxy.trainer import Trainer
from autopeft.resident import Resident, load_resident, load_workers
from autopeft.study.folder import StudyFolder
from autopeft.study.halving import Halving
from autopeft.study.rungs import rungs_of
from autopeft.study.running import RunningTrial
from autopeft.study.spec import StudySpec
from autopeft.tasks import batches as bucketing
from autopeft.tasks.batches import batches
from autopeft.tasks.tokens import tokenise
from autopeft.uniform_lora import uniform_lora

SEEDS = 3  # with which the members of a front are re-trained


@dataclass
class Searched:
    """Seconds of a search, of which set-up; per configuration its validation loss at full length, None if stopped."""

    seconds: float
    setup_seconds: float
    losses: list[float | None]
    steps: int  # training steps done
    each: list[float]  # seconds of each configuration's own training and evaluation


@dataclass(frozen=True)
class Levers:
    """What of autopeft's speed-ups is switched on."""

    precision: bool = True
    buckets: bool = True
    prefix: bool = True
    rungs: bool = True
    packing: bool = True
    workers: bool = True


LADDER = {
    "resident backbone, no dropout in it (fp32)": Levers(False, False, False, False, False, False),
    "+ precision and attention by timing": Levers(True, False, False, False, False, False),
    "+ length buckets": Levers(True, True, False, False, False, False),
    "+ stored frozen prefix": Levers(True, True, True, False, False, False),
    "+ rungs": Levers(True, True, True, True, False, False),
    "+ packing": Levers(True, True, True, True, True, False),
    "+ worker processes": Levers(),
}


def search_trials(prepared: Prepared, configurations: Sequence[Configuration], levers: Levers = Levers()) -> Searched:
    """Train given configurations in autopeft's own cohorts, its start-up timings and an empty prefix store included."""
    began = time.monotonic()
    spec = prepared.spec
    with tempfile.TemporaryDirectory() as temporary, unbucketed(not levers.buckets):
        if levers.precision:
            opened = load_resident(prepared, None, Progress(quiet=True))
        else:
            precision = Precision("fp32", "sdpa", {})
            backbone = resident(spec.model, len(prepared.task.label_names), precision)
            opened = Resident(backbone, tokenise(prepared.task, backbone.tokenizer, spec.max_length), precision)
        shutil.rmtree(prepared_folder(identity(opened.backbone, opened.tokenised)))
        cache = spec.prefix_cache if levers.prefix else "0"
        spec = spec.model_copy(
            update={"prefix_cache": cache, "packing": levers.packing, "workers": None if levers.workers else 1}
        )
        workers = load_workers(replace(prepared, spec=spec), opened, Progress(quiet=True))
        folder = StudyFolder(Path(temporary) / "study")
        folder.create()
        setup = time.monotonic() - began
        rungs = rungs_of(spec.rungs if levers.rungs else "none", spec.full_steps, len(prepared.task.validation))
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(directions=["minimize", "maximize"])
        halving = Halving(study, prepared.objectives, rungs, spec, folder)
        left = deque(configurations)

        def more() -> Stages | None:
            cohort = [asked(study, left.popleft(), prepared) for _ in range(min(spec.cohort, len(left)))]
            return halving.run(cohort, lambda _: None) if cohort else None

        workers.run_stages(more)
        workers.close()
    curves = [t.user_attrs.get("curve") for t in study.trials]
    steps = sum(c["steps"][-1] for c in curves if c)
    losses = [c["validation_loss"][-1] if c and c["steps"][-1] == spec.full_steps else None for c in curves]
    return Searched(time.monotonic() - began, setup, losses, steps, [c["seconds"] if c else 0.0 for c in curves])


def asked(study: optuna.Study, configuration: Configuration, prepared: Prepared) -> RunningTrial:
    """A given configuration as a trial."""
    trial = study.ask()
    trial.set_user_attr("trainable", count(configuration, prepared.shapes))
    trial.set_user_attr("counted", prepared.objectives.count(configuration, prepared.limits))
    trial.set_user_attr("configuration", configuration.to_json())
    return RunningTrial(trial, configuration)


class unbucketed:
    """For the length of a with block batches are in random order, not of similar length, if asked for."""

    def __init__(self, asked: bool):
        self.asked = asked

    def __enter__(self):
        if self.asked:
            bucketing.batches = in_order

    def __exit__(self, *_):
        bucketing.batches = batches


def in_order(lengths: np.ndarray, batch_size: int, generator: np.random.Generator | None = None) -> list[np.ndarray]:
    """Batches of rows as they come (evaluation) or shuffled (training)."""
    order = np.arange(len(lengths)) if generator is None else generator.permutation(len(lengths))
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def front_of(prepared: Prepared, configurations: Sequence[Configuration], losses: Sequence[float | None]) -> list[int]:
    """Numbers of the configurations on the front of (parameters, validation loss), stopped ones left out."""
    whole = [i for i, x in enumerate(losses) if x is not None]
    points = np.array([(count(configurations[i], prepared.shapes), losses[i]) for i in whole])
    return [whole[i] for i in np.flatnonzero(non_dominated(points))]


def retrained(prepared: Prepared, configurations: Sequence[Configuration], seeds: int) -> list[float]:
    """The mean test score of each configuration, trained at full length with seeds that no search has seen."""
    spec = prepared.spec
    workers = load_workers(prepared, load_resident(prepared, None, Progress(quiet=True)), Progress(quiet=True))
    unseen = range(spec.seed + 1, spec.seed + 1 + seeds)
    jobs = [Job(c, s, spec.full_steps, spec.full_steps, rows=2, test=True) for c in configurations for s in unseen]
    score = {n: done.curve.test_score for n, done in workers.run(jobs)}
    workers.close()
    return [float(np.mean([score[i * seeds + s] for s in range(seeds)])) for i in range(len(configurations))]


def quality(prepared: Prepared, configurations: list[Configuration], mine: list[int], theirs: list[int]) -> dict:
    """Hypervolume of both fronts, their members re-trained."""
    probe = Configuration.of("head_only", {}, (), 3e-3)
    members = sorted({*mine, *theirs})
    *scores, base = retrained(prepared, [*(configurations[i] for i in members), probe], SEEDS)
    size = {i: np.log10(max(1, count(configurations[i], prepared.shapes))) for i in members}
    score = dict(zip(members, scores))
    reference = np.array([np.log10(prepared.budget) + 1e-9, -base])
    volumes = [hypervolume(np.array([(size[i], -score[i]) for i in front]), reference) for front in (mine, theirs)]
    best = [max(score[i] for i in front) for front in (mine, theirs)]
    return {"autopeft": volumes[0], "full": volumes[1], "kept": volumes[0] / volumes[1], "best": best}


def compare(prepared: Prepared, configurations: list[Configuration], fair_trials: int, slow_trials: int) -> dict:
    """Run all systems, print the table of ratios, and return the figures."""
    searched = search_trials(prepared, configurations)
    print(
        f"autopeft: {searched.seconds:.1f} s, {searched.setup_seconds:.1f} s of it set-up, {searched.steps} steps",
        flush=True,
    )
    full = search_trials(prepared, configurations, Levers(rungs=False))
    print(f"full length: {full.seconds:.1f} s, {full.steps} steps", flush=True)
    loops = {}
    for name, number in {"fair": fair_trials, "naive": slow_trials, "published": slow_trials}.items():
        if number:
            chosen = spaced(len(configurations), number)
            looped = LOOPS[name](prepared, [configurations[i] for i in chosen], quiet)
            loops[name] = looped.seconds * sum(full.each) / sum(full.each[i] for i in chosen)
            print(f"{name}: {looped.seconds:.1f} s on {number} configurations, {loops[name]:.0f} s for all", flush=True)
    mine, theirs = (front_of(prepared, configurations, x.losses) for x in (searched, full))
    kept = quality(prepared, configurations, mine, theirs)
    spec = prepared.spec
    print(f"{prepared.task.name}, {len(configurations)} trials of {spec.full_steps} steps of {spec.batch_size}:")
    for name, seconds in {"full length": full.seconds, **loops}.items():
        print(f"  {name:12s} {seconds:7.0f} s   {seconds / searched.seconds:6.1f} x autopeft")
    print(
        f"  hypervolume of autopeft's front ({len(mine)} members), re-trained with {SEEDS} seeds, of the full-length "
        f"search's ({len(theirs)}): {kept['kept']:.3f}; best score {kept['best'][0]:.4f} and {kept['best'][1]:.4f}",
        flush=True,
    )
    return {
        "autopeft": asdict(searched),
        "full": asdict(full),
        **loops,
        "quality": kept,
        "mine": mine,
        "theirs": theirs,
    }


def spaced(total: int, number: int) -> list[int]:
    return sorted({round(i) for i in np.linspace(0, total - 1, number)})


def quiet(_: str) -> None:
    """No line per trial."""


def each_lever(prepared: Prepared, configurations: list[Configuration]) -> dict:
    """The fair loop, then autopeft with one more speed-up each time, on the same configurations."""
    seconds = {"fair": LOOPS["fair"](prepared, configurations, quiet).seconds}
    for name, levers in LADDER.items():
        seconds[name] = search_trials(prepared, configurations, levers).seconds
        before = list(seconds.values())[-2]
        print(
            f"  {name:45s} {seconds[name]:6.1f} s   {before / seconds[name]:5.2f} x the line above, "
            f"{seconds['fair'] / seconds[name]:5.1f} x fair",
            flush=True,
        )
    return seconds


def equation(prepared: Prepared) -> None:
    """A step against the cut, measured and predicted; the matrix products' share of the machine's peak."""
    backbone, tokenised, precision = load_resident(prepared, None, Progress(quiet=True))
    layers, spec = backbone.shapes.num_layers, prepared.spec
    print(f"{precision}; a step of LoRA r=8 on query and value above the cut, ms:")
    print("  cut  recomputed  stored  ratio  (2L-k)/(2(L-k))")
    with tempfile.TemporaryDirectory() as folder:
        prefix = PrefixCache(backbone, tokenised, spec.prefix_bytes, Path(folder))
        for cut in range(layers):
            lora = Configuration.of(
                "lora", {"rank": 8, "target_modules": "query+value", "rslora": False}, range(cut, layers), 1e-3
            )
            plain, stored = (
                steps_of(Trainer(backbone, tokenised, spec.batch_size, prefix=p), lora) for p in (None, prefix)
            )
            print(
                f"  {cut:3d}  {1000 * plain:10.1f}  {1000 * stored:6.1f}  {plain / stored:5.2f}  "
                f"{(2 * layers - cut) / (2 * (layers - cut)):5.2f}",
                flush=True,
            )
        built = time.monotonic()
        probe = Configuration.of("head_only", {}, (), 1e-3)
        Trainer(backbone, tokenised, spec.batch_size, prefix=prefix).run(
            [Job(probe, 0, 1, -(-len(tokenised.train) // spec.batch_size), test=True)]
        )
        print(f"  every row's states at every boundary: {prefix.bytes / 1e6:.0f} MB, {time.monotonic() - built:.1f} s")


def inside(prepared: Prepared) -> None:
    """Where a run's wall time goes, and how near the matrix products come to what this machine can do."""
    from torch.utils.flop_counter import FlopCounterMode

    from autopeft.proxy import training
    from autopeft.proxy.run import Run

    backbone, tokenised, precision = load_resident(prepared, None, Progress(quiet=True))
    trainer = Trainer(backbone, tokenised, prepared.spec.batch_size)
    lora = uniform_lora(prepared.shapes, prepared.budget)
    job = Job(lora, 0, 64, 64, rows=200, keep_state=True)
    trainer.run([job])
    spent = {"forward": 0.0, "backward": 0.0, "optimiser": 0.0}
    plain = training.forward, torch.Tensor.backward, Run.learn

    def timed(name: str, function):
        def run(*arguments, **keywords):
            began = time.perf_counter()
            result = function(*arguments, **keywords)
            spent[name] += time.perf_counter() - began
            return result

        return run

    training.forward, torch.Tensor.backward, Run.learn = (timed(n, f) for n, f in zip(spent, plain))
    began = time.perf_counter()
    trainer.run([job])
    whole = time.perf_counter() - began
    training.forward, torch.Tensor.backward, Run.learn = plain
    shares = ", ".join(f"{k} {100 * v / whole:.1f} %" for k, v in spent.items())
    print(
        f"  a run of 64 steps and one evaluation: {whole:.2f} s: {shares}, outside {100 * (1 - sum(spent.values()) / whole):.1f} %"
    )
    with FlopCounterMode(display=False) as counter:
        trainer.seconds_per_step(job)
    flops = counter.get_total_flops() / (training.TIMED + 1)
    step = min(trainer.seconds_per_step(job) for _ in range(5))
    peak = {d: matmul_peak(d) for d in (torch.float32, torch.bfloat16)}
    print(
        f"  forward and backward of uniform LoRA: {flops / 1e9:.1f} GFLOP in {1000 * step:.0f} ms = {flops / step / 1e9:.0f} GFLOP/s, "
        f"{100 * flops / step / peak[torch.bfloat16]:.0f} % of the bf16 matmul peak of {peak[torch.bfloat16] / 1e9:.0f} "
        f"(fp32: {peak[torch.float32] / 1e9:.0f})"
    )


def matmul_peak(dtype: torch.dtype, size: int = 2048) -> float:
    """FLOP/s of a large square matrix product."""
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    seconds = []
    for _ in range(8):
        began = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)


def steps_of(trainer: Trainer, configuration: Configuration) -> float:
    """Median seconds of a whole training step over an epoch's first batches, read from the store where there is one."""
    job = Job(configuration, 0, 40, 40, rows=2)
    trainer.run([job])
    began = time.perf_counter()
    trainer.run([job])
    return (time.perf_counter() - began) / 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="quickstart")
    parser.add_argument("--data")
    parser.add_argument("--trials", type=int, default=27)
    parser.add_argument("--fair-trials", type=int, default=27)
    parser.add_argument("--slow-trials", type=int, default=3)
    parser.add_argument("--levers", type=int, default=0)
    parser.add_argument("--equation", action="store_true", help="also a step against the cut, and where the time goes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test-rows", type=int, help="for the quality only: no clock runs while they are scored")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    prepared = prepare(
        StudySpec.read(arguments.study, **{"data": arguments.data, "test_rows": arguments.test_rows, "budget": "0.5%"})
    )
    configurations = sample(prepared, max(arguments.trials, arguments.levers), arguments.seed)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    if arguments.equation:
        equation(prepared)
        inside(prepared)
    found = {}
    if arguments.trials:
        asked = arguments.fair_trials, arguments.slow_trials
        found = compare(prepared, configurations[: arguments.trials], *asked)
    if arguments.levers:
        print(f"levers, {arguments.levers} configurations:")
        found["levers"] = each_lever(prepared, configurations[: arguments.levers])
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
