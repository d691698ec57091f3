"""Trainer: jobs -> curves. Attach to the resident backbone, train a part of a run, evaluate, detach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np
import torch

from autopeft.backbone.loading import Backbone
from autopeft.backbone.prefix import PrefixCache
from autopeft.base.steady import steady
from autopeft.configuration import Configuration
from autopeft.methods.mechanisms.attach import attached, trainable_parameters
from autopeft.methods.mechanisms.statistics import Statistics
from autopeft.objectives.train_memory import TRAIN_MEMORY
from autopeft.procedures import get_procedure
from autopeft.proxy.checkpoint import Checkpoints, Point
from autopeft.proxy.curve import Curve
from autopeft.proxy.job import Job, JobResult
from autopeft.proxy.measuring import measure
from autopeft.proxy.packing import Packing
from autopeft.proxy.run import Run, parameter_groups
from autopeft.proxy.scoring import Judged
from autopeft.proxy.session import Place, Session
from autopeft.proxy.timing import cuda_devices, peak_memory, reset_peak_memory
from autopeft.tasks.tokens import TokenisedTask


class Diverged(Exception):
    """The loss became NaN or infinite."""


class Trainer:
    """Trains jobs on one resident backbone, which is left as it was found; no dropout runs in its frozen blocks.

    Args:
        backbone: the resident model.
        tokenised: the task.
        batch_size: rows of a training batch.
        head_learning_rate: of the task head, the same for every method (only the linear probe's own rate is the
            head's): the rates of methods lie up to a thousandfold apart, and a head at (IA)^3's rate diverges.
        prefix: the store of hidden states below the lowest adapted block, if there is one.
        packing: whether jobs of one family may be trained together where that is faster.
        proxy_rows: the training rows (N,) of jobs with `proxy`; None means all.
        uniform_lora: what measured objectives are a ratio to; only needed for jobs that measure any.
    """

    def __init__(
        self,
        backbone: Backbone,
        tokenised: TokenisedTask,
        batch_size: int = 32,
        head_learning_rate: float = 0.001,
        prefix: PrefixCache | None = None,
        packing: bool = True,
        proxy_rows: np.ndarray | None = None,
        uniform_lora: Configuration | None = None,
    ) -> None:
        self.backbone, self.tokenised, self.prefix = backbone, tokenised, prefix
        self.batch_size, self.head_learning_rate = batch_size, head_learning_rate
        self.proxy_rows, self.uniform_lora = proxy_rows, uniform_lora
        self.statistics = Statistics(backbone, tokenised)
        self.packing = Packing(tokenised, packing)
        self.checkpoints: Checkpoints | None = None  # where jobs are kept that have not ended; none are packed

    def run(
        self, jobs: Sequence[Job], keep: Callable[[torch.nn.Module], object] | None = None, more: bool = False
    ) -> list[JobResult]:
        """Train jobs of one family, together where that is faster.

        Args:
            jobs: they differ in their learning rate only.
            keep: called with a single job's trained model while it is still attached.
            more: whether what a single job gives waits for others of its pack; its end is then kept as a checkpoint.

        Returns:
            What each job gave, in the order of the jobs.
        """
        if len(jobs) > 1 and not self.packing_pays(jobs):
            return [result for job in jobs for result in self.run([job], more=job is not jobs[-1])]
        started, first = steady(), jobs[0]
        file = self.checkpoints.of(first) if self.checkpoints and len(jobs) == 1 else None
        if begun := file.read() if file else None:
            started, jobs = started - begun.seconds, [replace(first, state=begun.state)]
        measured = measure(self, first)
        reset_peak_memory(self.backbone.model)
        with self.attached(first) as (model, place):
            session = Session(self, model, place, [self.run_of(model, job, own=len(jobs) == 1) for job in jobs])
            points: list[list[Point | None]] = [[point] for point in begun.points] if begun else []
            for step in session.advance(file.due) if file else session.advance():
                if step in first.scored:
                    points.append(self._evaluated(session, step))
                if file and (file.due() or (more and step == first.until)):
                    file.write(session.run, [x for at_step in points if (x := at_step[0])], steady() - started)
            for run in session.runs:
                run.restore_best()
            alive = any(not run.failure for run in session.runs)
            tested: Sequence[Judged | None] = [None] * len(jobs)
            if first.test and alive:
                tested = session.evaluate("test", None, first.units)
            if keep and alive:
                keep(model)
            seconds, memory = (steady() - started) / len(jobs), peak_memory(self.backbone.model)
            if cuda_devices(self.backbone.model) and len(jobs) == 1:
                measured[TRAIN_MEMORY.name] = memory  # of the run itself: it takes the place of the prediction
            return [
                job_result(run, [x for at_step in points if (x := at_step[i])], tested[i], seconds, memory, measured)
                for i, run in enumerate(session.runs)
            ]

    @contextmanager
    def attached(self, job: Job) -> Iterator[tuple[Any, Place | None]]:
        """The model with the job's adapters for the length of a with block.

        Yields:
            The peft model, and the function that has to be told the rows of each forward pass where the frozen prefix
            below the adapters is read from its store (else None).
        """
        configuration, shapes = job.configuration, self.backbone.shapes
        procedure, frozen = get_procedure(configuration.procedure), configuration.frozen_layers
        depth = 0 if procedure.needs_whole_backbone else shapes.num_layers if frozen is None else frozen
        with (
            attached(configuration, self.backbone, job.seed, self.statistics) as model,
            procedure.around(model, configuration, shapes),
            self.prefix.below(depth) if self.prefix else nullcontext() as place,
        ):
            yield model, place

    def run_of(self, model: Any, job: Job, own: bool) -> Run:
        """A run on the model's own parameters, or on copies of them that a packed step puts in their place."""
        named = dict(trainable_parameters(model))
        if not own:
            named = {n: torch.nn.Parameter(p.detach().clone()) for n, p in named.items()}
        return Run(job, named, parameter_groups(named, self.backbone, job.configuration, self.head_learning_rate))

    def _evaluated(self, session: Session, step: int) -> list[Point | None]:
        """The point of each run at an evaluation step; none of one that has ended before."""
        job = session.runs[0].job
        units = job.units if job.patience or step == job.steps else None  # any point may turn out to be the best
        scored = session.evaluate("validation", job.rows, units)
        points: list[Point | None] = []
        for run, score in zip(session.runs, scored):
            points.append(None if run.ended else (step, run.mean_loss(), score))
            if not run.ended:
                run.evaluated(score.loss)
        return points

    def packing_pays(self, jobs: Sequence[Job]) -> bool:
        """Whether a packed step takes less time than the same steps one after the other: timed once per family."""
        return self.packing.pays(jobs, self.seconds_per_step, self._seconds_packed)

    def seconds_per_step(self, job: Job) -> float:
        """The forward and backward pass of a job alone."""
        with self.attached(job) as (model, place):
            return Session(self, model, place, [self.run_of(model, job, own=True)]).seconds_per_step()

    def _seconds_packed(self, jobs: Sequence[Job]) -> float | None:
        """The forward and backward pass of all jobs together; None where something acts on one run alone."""
        with self.attached(jobs[0]) as (model, place):
            session = Session(self, model, place, [self.run_of(model, job, own=False) for job in jobs])
            return None if session.own_losses() or session.callbacks else session.seconds_per_step()

    def rows(self, part: str, number: int | None) -> np.ndarray:
        """The first rows of a fixed order in which every beginning has the classes' own shares.

        Args:
            part: "train", "validation" or "test".
            number: how many units (None: all).

        Returns:
            Row numbers (N,).
        """
        split = getattr(self.tokenised, part)
        if number is None or number >= split.number_of_units:
            return np.arange(len(split))
        return split.expand(self.tokenised.kind.order(split)[:number])


def train(
    backbone: Backbone,
    tokenised: TokenisedTask,
    configuration: Configuration,
    *,
    seed: int,
    steps: int,
    evaluation_steps: Sequence[int] = (),
    test: bool = False,
    keep: Callable[[torch.nn.Module], object] | None = None,
    **settings: Any,
) -> Curve:
    """Train one configuration from beginning to end.

    Args:
        backbone: the resident model, left as it was found.
        tokenised: the task.
        configuration: what is trained.
        seed: of the order of the rows, the initial adapter and the head.
        steps: optimiser steps.
        evaluation_steps: steps after which the validation split is scored, beside the last one.
        test: also score the test split, at the end.
        keep: called with the trained model while it is still attached.
        settings: the other arguments of Trainer.

    Raises:
        Diverged: the loss became NaN or infinite.
    """
    job = Job(configuration, seed, steps, steps, tuple(evaluation_steps), test=test)
    (result,) = Trainer(backbone, tokenised, **settings).run([job], keep)
    if result.curve is None:
        raise Diverged(result.failure)
    return result.curve


def text_of(judged: Judged | None) -> str | None:
    """The units that were kept, as text."""
    return judged.units.to_text() if judged and judged.units else None


def job_result(
    run: Run,
    points: Sequence[Point],
    tested: Judged | None,
    seconds: float,
    memory: int,
    measured: Mapping[str, float],
) -> JobResult:
    """A run and its points -> what its job gave; memory in bytes."""
    if run.failure:
        return JobResult(None, failure=run.failure)
    steps, train_loss, validated = zip(*points)
    best = run.stopping.best if run.stopping else len(steps) - 1
    for split, scored in (("validation", validated[best]), ("test", tested)):
        if scored and not isfinite(scored.loss):  # its score may look like one, and is that of no model
            return JobResult(
                None, failure=f"the {split} loss was {scored.loss} at step {steps[best]} of {run.job.steps}"
            )
    curve = Curve(
        run.job.seed,
        steps,
        train_loss,
        tuple(x.loss for x in validated),
        tuple(x.score for x in validated),
        seconds,
        memory,
        test_loss=tested.loss if tested else None,
        test_score=tested.score if tested else None,
        validation_units=text_of(validated[best]),
        test_units=text_of(tested),
        measured=measured,
        best_step=steps[best] if run.stopping else None,
    )
    return JobResult(curve, run.state() if run.job.keep_state else None)
