"""The full training itself: the engine's steps, taken in parts, scored on the way, stopped early, gone on from."""

import math
import time
from contextlib import closing, nullcontext

import torch
from transformers.utils import logging as transformers_logging

from autopeft.backbone.prefix import PrefixCache
from autopeft.base.errors import AutopeftError
from autopeft.base.progress import Progress
from autopeft.prepare import prepare
from autopeft.proxy.job import Job
from autopeft.proxy.session import Session
from autopeft.proxy.timing import peak_memory, reset_peak_memory
from autopeft.proxy.trainer import Trainer
from autopeft.study.folder import StudyFolder
from autopeft.train.plan import Plan
from autopeft.train.processes import Processes
from autopeft.train.quantised import load_quantised, pass_gradients
from autopeft.train.recompute import recomputed
from autopeft.train.record import Record
from autopeft.train.saved import save
from autopeft.train.work import Checkpoint, WorkFolder
from autopeft.workbench import load_resident, stored_study


class Parts(Session):
    """A session whose steps are taken in several passes and by several processes, with the gradients of one."""

    processes = Processes()
    passes = 1

    def gradients(self, rows):
        if self.passes * self.processes.number == 1:
            return super().gradients(rows)
        parameters = self.run.parameters
        loss, total = torch.zeros(1, device=next(iter(parameters.values())).device), {}
        split, kind = self.trainer.tokenised.train, self.trainer.tokenised.kind
        for units in self.processes.parts(split.units(rows), self.passes):
            part = split.expand(units)
            share = kind.weight(split, part) / kind.weight(split, rows)
            loss += share * super().gradients(part).detach()
            for name, parameter in parameters.items():
                if parameter.grad is not None:
                    total[name] = total.get(name, 0) + share * parameter.grad
                    parameter.grad = None
        loss = self.processes.summed(loss, total, parameters)
        for name, gradient in total.items():
            parameters[name].grad = gradient
        return loss


class FullTrainer(Trainer):
    """Trains one configuration to its end; `Trainer` trains the stretches of a search."""

    def complete(
        self, plan: Plan, work: WorkFolder, begun: Checkpoint | None, processes: Processes, progress: Progress
    ) -> Record:
        """Train up to the last step or until the patience is spent; the adapter to keep is then in the work folder.

        Raises AutopeftError when the loss is no longer finite.
        """
        evaluations, checkpoints = set(plan.evaluations), set(plan.checkpoints)
        scored = tuple(sorted(evaluations | checkpoints))
        job = Job(plan.configuration, plan.seed, plan.steps, plan.steps, scored, state=begun and begun.state)
        record = begun.record if begun else Record(plan.recipe.watch, plan.recipe.patience)
        if begun:
            record.resumed.append(begun.step)
            progress.note(f"Going on from step {begun.step} of {plan.steps}.")
        started, before = time.monotonic(), record.seconds
        reset_peak_memory(self.backbone.model)
        with self.attached(job) as (model, place), self._recomputed(model, plan):
            if plan.recipe.quantize:
                pass_gradients(model)
            session = self._session(model, place, job, plan, processes)
            if begun:
                session.run.losses = [torch.tensor(x, device=model.device) for x in begun.losses]
            progress.stage("evaluations", len(evaluations), len(record.points))
            with closing(session.advance()) as advanced:
                for step in advanced:
                    if step in evaluations:
                        point = self._point(session, step, plan, processes)
                        better = record.add(**point, seconds=before + time.monotonic() - started)
                        if processes.first:
                            self._report(model, record, better and plan.recipe.patience, work, plan, progress)
                    if record.stopped:
                        progress.note(f"No better {plan.recipe.watch} in {plan.recipe.patience} evaluations: stopped.")
                        break
                    if step in checkpoints and processes.first:
                        losses = [x.item() for x in session.run.losses]
                        work.write(Checkpoint(step, session.run.state(), losses, record), plan)
                        work.tidy(record.best["step"] if plan.recipe.patience and record.best else None)
            progress.close()
            if session.run.failure:
                raise AutopeftError(f"The training of {plan.name} failed: {session.run.failure}.")
            if processes.first and not work.kept(record).exists():
                work.keep(record.kept["step"], lambda folder: save(model, folder))
        record.peak_memory_bytes = peak_memory(self.backbone.model)
        return record

    def _recomputed(self, model, plan: Plan):
        shapes = self.backbone.shapes
        if not plan.recipe.gradient_checkpointing:
            return nullcontext()
        blocks = model.get_base_model().get_submodule(shapes.blocks_path)
        return recomputed(blocks[plan.configuration.frozen_layers or 0 :])

    def _session(self, model, place, job: Job, plan: Plan, processes: Processes) -> Parts:
        session = Parts(self, model, place, [self.run_of(model, job, own=True)])
        session.processes, session.passes = processes, plan.recipe.accumulate
        session.run.schedule = schedule(plan.recipe.schedule, plan.recipe.warmup)
        return session

    def _point(self, session: Parts, step: int, plan: Plan, processes: Processes) -> dict:
        """One row of the record."""
        trained = session.run.mean_loss()
        if session.run.failure:
            raise AutopeftError(f"The training of {plan.name} failed: {session.run.failure}.")
        loss, score = processes.agreed(list(session.evaluate("validation", None)[0]))
        return {
            "step": step,
            "epoch": round(step / plan.steps_per_epoch, 3),
            "learning_rate": session.run.optimiser.param_groups[0]["lr"],
            "train_loss": trained,
            "validation_loss": loss,
            "validation_score": score,
        }

    def _report(self, model, record: Record, keep: bool, work: WorkFolder, plan: Plan, progress: Progress) -> None:
        point = record.points[-1]
        work.curve(record)
        if keep:
            work.keep(point["step"], lambda folder: save(model, folder))
            if not plan.recipe.checkpoint_every:
                work.tidy(point["step"])
        progress.step(
            f"step {point['step']:,} of {plan.steps:,}: loss {point['train_loss']:.4f}, validation loss "
            f"{point['validation_loss']:.4f}, {plan.spec.metric} {point['validation_score']:.4f}"
        )


def schedule(name: str, warmup: float):
    """(step, steps) -> the share of the learning rate; "linear" with the default warm-up is the search's own."""

    def factor(step: int, steps: int) -> float:
        rise = max(1, round(warmup * steps))
        if step < rise:
            return (step + 1) / rise
        left = (steps - step) / max(1, steps - rise)
        return {"constant": 1.0, "linear": left, "cosine": (1 - math.cos(math.pi * left)) / 2}[name]

    return factor


def open_trainer(plan: Plan, processes: Processes, progress: Progress) -> FullTrainer:
    """Load the study's data and backbone. Raises AutopeftError if the data are no longer the study's."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    prepared = prepare(plan.spec)
    stored = stored_study(prepared, StudyFolder(plan.result.data.folder))
    with processes.first_goes_first():
        if plan.recipe.quantize:
            backbone, tokenised = load_quantised(plan, prepared.task)
            prefix = None
        else:
            backbone, tokenised, _ = load_resident(prepared, stored, progress)
            prefix = PrefixCache(backbone, tokenised, plan.spec.prefix_bytes) if plan.spec.prefix_bytes else None
    return FullTrainer(backbone, tokenised, plan.batch_size, plan.spec.head_learning_rate, prefix, packing=False)
