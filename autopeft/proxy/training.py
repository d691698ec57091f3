"""Jobs -> curves: attach to the resident backbone, train a stretch, evaluate, detach."""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import islice

import numpy as np
import psutil
import torch
from torch.func import vmap

from autopeft.backbone.loading import Backbone
from autopeft.backbone.prefix import PrefixCache
from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.methods.mechanisms.attach import attached, is_head, trainable_parameters
from autopeft.methods.mechanisms.statistics import Statistics
from autopeft.procedures import get_procedure
from autopeft.proxy.curve import Curve
from autopeft.proxy.generation import device_of, generate
from autopeft.proxy.job import Done, Job
from autopeft.proxy.run import Run
from autopeft.proxy.scoring import forward, judged
from autopeft.tasks.batches import collate, endless, width_of
from autopeft.tasks.tokens import TokenisedTask

TIMED = 2  # steps that are timed to decide whether packing pays, after one that warms up


class Diverged(Exception):
    """The loss became NaN or infinite."""


class Trainer:
    """Trains jobs on one resident backbone, which is left as it was found; no dropout runs in its frozen blocks."""

    def __init__(
        self,
        backbone: Backbone,
        tokenised: TokenisedTask,
        batch_size: int = 32,
        head_learning_rate: float = 1e-3,
        prefix: PrefixCache | None = None,
        packing: bool = True,
        proxy_rows: np.ndarray | None = None,
    ):
        """head_learning_rate: of the task head, the same for every method (only the linear probe's own rate is the
        head's): the rates of methods lie up to a thousandfold apart, and a head at (IA)^3's rate diverges."""
        self.backbone, self.tokenised, self.prefix = backbone, tokenised, prefix
        self.batch_size, self.head_learning_rate, self.packing = batch_size, head_learning_rate, packing
        self.proxy_rows = proxy_rows
        self.statistics = Statistics(backbone, tokenised)
        self._packing_pays: dict[tuple, bool] = {}

    def run(self, jobs: Sequence[Job], keep: Callable[[torch.nn.Module], None] | None = None) -> list[Done]:
        """Train jobs of one family, together where that is faster. keep: called with a single job's trained model."""
        if len(jobs) > 1 and not self._pays(jobs):
            return [done for job in jobs for done in self.run([job])]
        started, first = time.monotonic(), jobs[0]
        reset_peak_memory(self.backbone.model)
        with self._attached(first) as (model, place):
            session = Session(self, model, place, [self._run_of(model, job, own=len(jobs) == 1) for job in jobs])
            points = [self._evaluated(session, step) for step in session.advance()]
            alive = any(not run.failure for run in session.runs)
            tested = session.evaluate("test", None) if first.test and alive else [(None, None)] * len(jobs)
            if keep and alive:
                keep(model)
            seconds, memory = (time.monotonic() - started) / len(jobs), peak_memory(self.backbone.model)
            return [
                done_of(run, [(step, *p[i]) for step, p in points], tested[i], seconds, memory)
                for i, run in enumerate(session.runs)
            ]

    @contextmanager
    def _attached(self, job: Job) -> Iterator[tuple]:
        """The model with the job's adapters, and the frozen prefix below them read from where it is stored."""
        configuration, shapes = job.configuration, self.backbone.shapes
        procedure, frozen = get_procedure(configuration.procedure), configuration.frozen_layers
        depth = 0 if procedure.needs_whole_backbone else shapes.num_layers if frozen is None else frozen
        with attached(configuration, self.backbone, job.seed, self.statistics) as model:
            with procedure.around(model, configuration, shapes):
                with self.prefix.below(depth) if self.prefix else nullcontext() as place:
                    yield model, place

    def _run_of(self, model, job: Job, own: bool) -> Run:
        """A run on the model's own parameters, or on copies of them that a packed step puts in their place."""
        named = dict(trainable_parameters(model))
        if not own:
            named = {n: torch.nn.Parameter(p.detach().clone()) for n, p in named.items()}
        return Run(job, named, parameter_groups(named, self.backbone, job.configuration, self.head_learning_rate))

    def _evaluated(self, session: "Session", step: int) -> tuple[int, list]:
        scored = session.evaluate("validation", session.runs[0].job.rows)
        return step, [(run.mean_loss(), *s) for run, s in zip(session.runs, scored)]

    def _pays(self, jobs: Sequence[Job]) -> bool:
        """Whether a packed step takes less time than the same steps one after the other: timed once per family.

        Never where a method adds a loss of its own, which reads the attached parameters, where a method or the
        procedure acts between steps or takes its gradients in its own way, nor for metrics of generated texts.
        """
        first = jobs[0]
        packable = all(get_method(name).packable for name in first.configuration.methods)
        if not (self.packing and packable) or get_procedure(first.configuration.procedure).own_gradients:
            return False
        if self.tokenised.kind.generates(self.tokenised.task.metric):  # texts are written by one model at a time
            return False
        family = replace(first.configuration, learning_rate=0.0), len(jobs)
        if family not in self._packing_pays:
            alone = self.seconds_per_step(first)
            with self._attached(first) as (model, place):
                packed = Session(self, model, place, [self._run_of(model, j, own=False) for j in jobs])
                apart = packed.own_losses() or packed.dynamics
                pays = not apart and packed.seconds_per_step() < len(jobs) * alone
            self._packing_pays[family] = pays
        return self._packing_pays[family]

    def seconds_per_step(self, job: Job) -> float:
        """Forward and backward of a job alone."""
        with self._attached(job) as (model, place):
            return Session(self, model, place, [self._run_of(model, job, own=True)]).seconds_per_step()

    def rows(self, part: str, number: int | None) -> np.ndarray:
        """The first rows of a fixed order in which every beginning has the classes' own shares."""
        split = getattr(self.tokenised, part)
        if number is None or number >= split.number_of_units:
            return np.arange(len(split))
        return split.expand(self.tokenised.kind.order(split)[:number])


class Session:
    """An attached model and the runs that step through the same batches on it."""

    def __init__(self, trainer: Trainer, model, place: Callable | None, runs: list[Run]):
        self.trainer, self.model, self.place, self.runs = trainer, model, place, runs
        configuration = runs[0].job.configuration
        self.regularisers = [(get_method(m), configuration.settings_of(m)) for m in configuration.methods]
        self.procedure, self.how = get_procedure(configuration.procedure), dict(configuration.procedure_settings)
        acting = [*self.regularisers, (self.procedure, self.how)]
        self.dynamics = [d for what, settings in acting if (d := what.dynamics(self, settings)) is not None]
        self.run.take_up(self.dynamics)

    @property
    def run(self) -> Run:
        """The run of a session that is not packed."""
        return self.runs[0]

    def advance(self) -> Iterator[int]:
        """Step every run to its job's `until`; yield at each mark. A run that fails stands still."""
        job, begin = self.runs[0].job, self.runs[0].step
        marks = {*job.marks, job.until}
        rows = self.trainer.proxy_rows if job.proxy else None
        order = islice(endless(self.trainer.tokenised.train, self.trainer.batch_size, job.seed, rows), begin, job.until)
        if not self.run.parameters:
            yield from self._stand_still(sorted(mark for mark in marks if mark > begin), next(order))
            return
        with torch.random.fork_rng(devices=cuda_devices(self.model)):
            torch.set_rng_state(self.runs[0].rng)
            for step, rows in enumerate(order, start=begin + 1):
                for part in self.dynamics:
                    part.before_forward(step - 1)
                losses = self.gradients(rows)
                for run, loss in zip(self.runs, losses):
                    if not run.failure:
                        run.learn(loss, self.dynamics)
                if all(run.failure for run in self.runs):
                    return
                if step in marks:
                    for run in self.runs:
                        run.rng = torch.get_rng_state()
                    yield step

    @torch.no_grad()
    def _stand_still(self, marks: list[int], rows: np.ndarray) -> Iterator[int]:
        """The marks of a run with nothing to train; its training loss is that of one batch."""
        loss = self.losses(rows)[0]
        for step in marks:
            self.run.losses.append(loss)
            self.run.step = step
            yield step

    def gradients(self, rows: np.ndarray) -> torch.Tensor:
        """The losses (K,) of a batch, with the gradients in place."""
        return self.procedure.gradients(self, rows, self.how)

    def losses(self, rows: np.ndarray) -> torch.Tensor:
        """The loss of each run on a batch, (K,)."""
        logits, targets = self.logits("train", rows)
        kind = self.trainer.tokenised.kind
        return torch.stack([kind.loss(one, targets) for one in logits]) + sum(self.own_losses())

    def own_losses(self) -> list[torch.Tensor]:
        """The losses that methods add: scalars of the attached parameters."""
        extra = [method.extra_loss(self.model, settings) for method, settings in self.regularisers]
        return [loss for loss in extra if loss is not None]

    def logits(self, part: str, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """(K, B, ...) in fp32, for classes (K, B, C), and the kind's targets of the B rows."""
        tokenised = self.trainer.tokenised
        inputs, targets = collate(getattr(tokenised, part), rows, tokenised.pad_token_id)
        if self.place:
            self.place(part, rows, width_of(getattr(tokenised, part), rows))
        if len(self.runs) == 1:
            logits = forward(self.model, inputs, tokenised.kind)[None]
        else:
            stacked = {n: torch.stack([run.parameters[n] for run in self.runs]) for n in self.runs[0].parameters}
            with warnings.catch_warnings():  # a kernel without a batching rule is slow, which the timing sees
                warnings.filterwarnings("ignore", message="There is a performance drop")
                logits = vmap(lambda parameters: forward(self.model, inputs, tokenised.kind, parameters))(stacked)
        return logits, targets.to(logits.device)

    @torch.no_grad()
    def evaluate(self, part: str, number: int | None) -> list[tuple[float, float]]:
        """(mean loss, the task's metric) of each run on the first rows of a split."""
        rows = self.trainer.rows(part, number)

        def write(units: np.ndarray) -> list[str]:
            if self.place:
                self.place(part, None, 0)  # what is generated is no row of a split
            return generate(self.model, self.trainer.tokenised, part, units)

        return judged(self.trainer.tokenised, part, rows, lambda r: self.logits(part, r), write, device_of(self.model))

    def seconds_per_step(self) -> float:
        """Forward and backward on the first batch: the fastest of a few, nothing learnt."""
        rows = next(endless(self.trainer.tokenised.train, self.trainer.batch_size, self.runs[0].job.seed))
        seconds = []
        for _ in range(TIMED + 1):
            started = time.perf_counter()
            self.losses(rows).sum().backward()
            if cuda_devices(self.model):
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
            for run in self.runs:
                run.optimiser.zero_grad(set_to_none=True)
        return min(seconds[1:])


def train(
    backbone: Backbone,
    tokenised: TokenisedTask,
    configuration: Configuration,
    *,
    seed: int,
    steps: int,
    marks: Sequence[int] = (),
    test: bool = False,
    keep: Callable[[torch.nn.Module], None] | None = None,
    **settings,
) -> Curve:
    """Train one configuration from beginning to end; settings are Trainer's. Raises Diverged when the loss does."""
    job = Job(configuration, seed, steps, steps, tuple(marks), test=test)
    (done,) = Trainer(backbone, tokenised, **settings).run([job], keep)
    if done.failure:
        raise Diverged(done.failure)
    return done.curve


def done_of(run: Run, points: list[tuple], tested: tuple, seconds: float, memory: int) -> Done:
    """A run's rows (step, train loss, validation loss, validation score) as what its job gave."""
    if run.failure:
        return Done(None, failure=run.failure)
    columns = tuple(zip(*points))
    curve = Curve(run.job.seed, *columns, seconds, memory, test_loss=tested[0], test_score=tested[1])
    return Done(curve, run.state() if run.job.keep_state else None)


def parameter_groups(named: dict, backbone: Backbone, configuration: Configuration, head_learning_rate: float) -> list:
    """(names, learning rate): the method's parameters at the configuration's rate and the head's at its own."""
    head, rate = backbone.shapes.head_modules, configuration.learning_rate
    return [
        ([n for n in named if not is_head(n, head)], rate),
        ([n for n in named if is_head(n, head)], rate if configuration.method == "head_only" else head_learning_rate),
    ]


def cuda_devices(model) -> list:
    device = device_of(model)
    return [device] if device.type == "cuda" else []


def reset_peak_memory(model) -> None:
    for device in cuda_devices(model):
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(model) -> int:
    """Bytes: the device's peak during the run on CUDA, the resident size of the process on a CPU."""
    devices = cuda_devices(model)
    return torch.cuda.max_memory_allocated(devices[0]) if devices else psutil.Process().memory_info().rss
