"""The steps of one full training: evaluations, checkpoints, early stopping, and the weights that are kept."""

import time
from contextlib import closing
from dataclasses import dataclass

from autopeft.base.errors import AutopeftError
from autopeft.base.progress import Progress
from autopeft.train.accumulation import AccumulatedSession
from autopeft.train.processes import Processes
from autopeft.train.record import Evaluation, Record
from autopeft.train.saved import save
from autopeft.train.training import FullTraining
from autopeft.train.work import Checkpoint, WorkFolder


@dataclass
class FullRun:
    """A training between its attachment and its detachment.

    Attributes:
        training: What is trained.
        session: Its model and parameters.
        record: What was measured so far.
        work: Where checkpoints and the weights to keep are written.
        processes: Those that train together; the first writes and prints.
        progress: Where it prints.
    """

    training: FullTraining
    session: AccumulatedSession
    record: Record
    work: WorkFolder
    processes: Processes
    progress: Progress

    def finish(self) -> None:
        """Train to the last step, or until the patience is spent; the weights to keep are then in the work folder.

        Raises:
            AutopeftError: The loss is no longer finite.
        """
        evaluations, checkpoints = set(self.training.evaluations), set(self.training.checkpoints)
        started, before = time.monotonic(), self.record.seconds
        self.progress.stage("evaluations", len(evaluations), len(self.record.evaluations))
        with closing(self.session.advance()) as advanced:
            for step in advanced:
                if step in evaluations:
                    self._evaluate(step, before - started)
                if self.record.stopped:
                    waited = f"No better {self.record.watch} in {self.record.patience} evaluations: stopped."
                    self.progress.note(waited)
                    break
                if step in checkpoints and self.processes.first:
                    self._checkpoint(step)
        self.progress.close()
        self._check()
        if self.processes.first and not self.work.kept(self.record).exists():
            self._keep(self.record.kept.step)

    def _check(self) -> None:
        if self.session.run.failure:
            raise AutopeftError(f"The training of {self.training.name} failed: {self.session.run.failure}.")

    def _evaluate(self, step: int, clock: float) -> None:
        """Score the validation split; with patience, keep the weights of the best evaluation."""
        evaluation = self._evaluation(step, clock)
        better = self.record.add(evaluation)
        if not self.processes.first:
            return
        self.work.curve(self.record)
        if better and self.record.patience:
            self._keep(step)
            if not self.training.options.checkpoint_every:
                self.work.tidy(step)
        self.progress.step(
            f"step {step:,} of {self.training.steps:,}: loss {evaluation.train_loss:.4f}, validation loss "
            f"{evaluation.validation_loss:.4f}, {self.training.metric} {evaluation.validation_score:.4f}"
        )

    def _evaluation(self, step: int, clock: float) -> Evaluation:
        train_loss = self.session.run.mean_loss()
        self._check()
        loss, score = self.processes.agreed(list(self.session.evaluate("validation", None)[0][:2]))
        return Evaluation(
            step=step,
            epoch=round(step / self.training.steps_per_epoch, 3),
            learning_rate=self.session.run.optimiser.param_groups[0]["lr"],
            train_loss=train_loss,
            validation_loss=loss,
            validation_score=score,
            seconds=clock + time.monotonic(),
        )

    def _keep(self, step: int) -> None:
        self.work.keep(step, lambda folder: save(self.session.model, folder))

    def _checkpoint(self, step: int) -> None:
        run, best = self.session.run, self.record.best
        losses = [loss.item() for loss in run.losses]
        self.work.write(Checkpoint(step, run.state(), losses, self.record), self.training)
        self.work.tidy(best.step if self.record.patience and best else None)
