"""Trains one configuration at full length on the study's data and backbone."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from autopeft.backbone.prefix import PrefixCache
from autopeft.base.progress import Progress
from autopeft.prepare import prepare
from autopeft.proxy.job import Job
from autopeft.proxy.session import Place
from autopeft.proxy.timing import peak_memory, reset_peak_memory
from autopeft.proxy.trainer import Trainer
from autopeft.resident import load_resident
from autopeft.start_checks import stored_study
from autopeft.study.folder import StudyFolder
from autopeft.train.accumulation import AccumulatedSession
from autopeft.train.processes import Processes
from autopeft.train.quantised import load_quantised, pass_gradients
from autopeft.train.recompute import recomputed
from autopeft.train.record import Record
from autopeft.train.run import FullRun
from autopeft.train.schedules import schedule
from autopeft.train.training import FullTraining
from autopeft.train.work import Checkpoint, WorkFolder


class FullTrainer(Trainer):
    """Trains one configuration to its end; `Trainer` trains the parts of a search's runs."""

    def complete(
        self,
        training: FullTraining,
        work: WorkFolder,
        begun: Checkpoint | None,
        processes: Processes,
        progress: Progress,
    ) -> Record:
        """Train up to the last step, or until the patience is spent.

        Args:
            training: What is trained.
            work: Where checkpoints are written; at the end the adapter to keep is there.
            begun: The checkpoint to resume from, None to begin.
            processes: Those that train together.
            progress: Where it prints.

        Raises:
            AutopeftError: The loss is no longer finite.
        """
        evaluated = tuple(sorted({*training.evaluations, *training.checkpoints}))
        state = begun.state if begun else None
        job = Job(training.configuration, training.seed, training.steps, training.steps, evaluated, state=state)
        record = begun.record if begun else Record(training.watch, training.patience)
        reset_peak_memory(self.backbone.model)
        with self.attached(job) as (model, place), self._recomputed(model, training):
            if training.options.quantize:
                pass_gradients(model)
            session = self._session(model, place, job, training, processes)
            if begun:
                record.resumed.append(begun.step)
                progress.note(f"Resuming from step {begun.step} of {training.steps}.")
                session.run.losses = [torch.tensor(x, device=model.device) for x in begun.losses]
            FullRun(training, session, record, work, processes, progress).finish()
        record.peak_memory_bytes = peak_memory(self.backbone.model)
        return record

    def _recomputed(self, model: Any, training: FullTraining) -> AbstractContextManager[None]:
        """Gradient checkpointing of the blocks that are trained, where the user chose it."""
        if not training.options.gradient_checkpointing:
            return nullcontext()
        blocks = model.get_base_model().get_submodule(self.backbone.shapes.blocks_path)
        return recomputed(blocks[training.configuration.frozen_layers or 0 :])

    def _session(
        self, model: Any, place: Place | None, job: Job, training: FullTraining, processes: Processes
    ) -> AccumulatedSession:
        session = AccumulatedSession(self, model, place, [self.run_of(model, job, own=True)])
        session.processes, session.passes = processes, training.options.accumulate
        session.run.schedule = schedule(training.options.schedule, training.options.warmup)
        return session


def open_trainer(training: FullTraining, processes: Processes, progress: Progress) -> FullTrainer:
    """Load the study's data and backbone.

    Args:
        training: Whose study.
        processes: The first of them loads before the others, which find what it stored.
        progress: Where it prints.

    Raises:
        AutopeftError: The data are no longer the study's.
    """
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    prepared = prepare(training.spec)
    stored = stored_study(prepared, StudyFolder(training.result.data.folder))
    prefix = None
    with processes.first_goes_first():
        if training.options.quantize:
            backbone, tokenised = load_quantised(training, training.options.quantize, prepared.task)
        else:
            backbone, tokenised, _ = load_resident(prepared, stored, progress)
            if training.spec.prefix_bytes:
                prefix = PrefixCache(backbone, tokenised, training.spec.prefix_bytes, note=progress.note)
    return FullTrainer(backbone, tokenised, training.batch_size, training.spec.head_rate, prefix, packing=False)
