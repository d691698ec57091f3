"""Session: an attached model and the runs that step through the same batches on it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch.func import vmap

from autopeft.backbone.loading import Backbone
from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.interrupt import raise_if_interrupted
from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.random_state import seeded
from autopeft.methods.mechanisms.training import TrainingSession
from autopeft.procedures import get_procedure
from autopeft.proxy.beat import sign_of_life
from autopeft.proxy.generation import device_of, generate
from autopeft.proxy.run import Run
from autopeft.proxy.scoring import Judged, forward, judged
from autopeft.proxy.timing import fastest
from autopeft.tasks.batches import collate, endless, width_of
from autopeft.tasks.tokens import TokenisedTask

if TYPE_CHECKING:
    from autopeft.proxy.trainer import Trainer

Place = Callable[[str, np.ndarray | None, int], None]  # told (part, rows, width) before a forward pass


class Session:
    """What `Trainer` steps; methods and procedures see it as a `TrainingSession`.

    Args:
        trainer: its backbone, task, batch size and proxy rows are used.
        model: the peft model around the backbone.
        place: told which rows come next where a frozen prefix is stored, else None.
        runs: the K runs, of jobs of one family; more than one are packed.
    """

    def __init__(self, trainer: Trainer, model: Any, place: Place | None, runs: list[Run]) -> None:
        self.trainer, self.model, self.place, self.runs = trainer, model, place, runs
        configuration = runs[0].job.configuration
        self.regularisers = [(get_method(m), configuration.settings_of(m)) for m in configuration.methods]
        self.procedure, self.how = get_procedure(configuration.procedure), dict(configuration.procedure_settings)
        found = [method.callback(self, settings) for method, settings in self.regularisers]
        found.append(self.procedure.callback(self, self.how))
        self.callbacks: list[Callback] = [callback for callback in found if callback is not None]
        self.run.resume(self.callbacks)

    @property
    def run(self) -> Run:
        """The run of a session that is not packed."""
        return self.runs[0]

    @property
    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """What is trained, by name."""
        return self.run.parameters

    @property
    def optimiser(self) -> torch.optim.Optimizer:
        """What steps on the gradients."""
        return self.run.optimiser

    @property
    def configuration(self) -> Configuration:
        """What is trained; of packed runs the first one's."""
        return self.run.job.configuration

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self.run.job.seed

    @property
    def ended(self) -> bool:
        """Whether no run goes on."""
        return all(run.ended for run in self.runs)

    @property
    def step(self) -> int:
        """How many steps are done."""
        return self.run.step

    @property
    def steps(self) -> int:
        """How many steps the whole run has."""
        return self.run.job.steps

    @property
    def backbone(self) -> Backbone:
        """The resident backbone."""
        return self.trainer.backbone

    @property
    def shapes(self) -> BackboneShapes:
        """The backbone's sizes."""
        return self.trainer.backbone.shapes

    @property
    def tokenised(self) -> TokenisedTask:
        """The task's splits."""
        return self.trainer.tokenised

    @property
    def batch_size(self) -> int:
        """Rows of a training batch."""
        return self.trainer.batch_size

    def rows(self, part: str, number: int | None) -> np.ndarray:
        """The first rows of a split in a fixed order."""
        return self.trainer.rows(part, number)

    def advance(self, pause: Callable[[], bool] = lambda: False) -> Generator[int, None, None]:
        """Step every run to its job's `until`; a run that has ended stands still.

        Args:
            pause: asked after each step whether to yield there too.

        Yields:
            Each evaluation step, and where it is asked for.
        """
        job, begin = self.run.job, self.run.step
        if self.ended or begin >= job.until:
            return
        rows = self.trainer.proxy_rows if job.proxy else None
        order = islice(endless(self.tokenised.train, self.batch_size, job.seed, rows), begin, job.until)
        if not self.run.parameters:
            yield from self._stand_still(sorted(step for step in job.scored if step > begin), next(order))
            return
        with seeded(self.model, job.seed, self.run.rng) as generators:
            for step, rows in enumerate(order, start=begin + 1):
                raise_if_interrupted()
                losses = self.forward_backward(step - 1, rows)
                for run, loss in zip(self.runs, losses):
                    if not run.ended:
                        run.learn(loss, self.callbacks)
                if not self.ended and (step in job.scored or pause()):
                    for run in self.runs:
                        run.rng = {name: generator.get_state() for name, generator in generators.items()}
                    yield step
                if self.ended:
                    return

    @torch.no_grad()
    def _stand_still(self, evaluated: list[int], rows: np.ndarray) -> Iterator[int]:
        """The evaluation steps of a run with nothing to train; its training loss is that of one batch."""
        loss = self.losses(rows)[0]
        for step in evaluated:
            self.run.losses.append(loss)
            self.run.step = step
            yield step
            if self.ended:
                return

    def forward_backward(self, step: int, rows: np.ndarray) -> torch.Tensor:
        """The losses (K,) of the step after `step` done ones, with the gradients in place."""
        for callback in self.callbacks:
            callback.before_forward(step)
        return self.gradients(rows)

    def gradients(self, rows: np.ndarray) -> torch.Tensor:
        """The losses (K,) of a batch, with the gradients in place."""
        return self.procedure.gradients(self, rows, self.how)

    def losses(self, rows: np.ndarray) -> torch.Tensor:
        """The loss of each run on a batch, (K,)."""
        logits, targets = self.logits("train", rows)
        return torch.stack([self.loss(one, targets) for one in logits]) + sum(self.own_losses())

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The task's mean loss of one run's logits (B, ...)."""
        return self.tokenised.kind.loss(logits, targets)

    def unit_losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The task's loss of each unit (U,)."""
        return self.tokenised.kind.losses(logits, targets)[0]

    def own_losses(self) -> list[torch.Tensor]:
        """The losses that methods add: scalars of the attached parameters."""
        extra = [method.extra_loss(self.model, settings) for method, settings in self.regularisers]
        return [loss for loss in extra if loss is not None]

    def logits(self, part: str, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """(K, B, ...) in fp32, for classes (K, B, C), and the kind's targets of the B rows."""
        sign_of_life()
        tokenised = self.tokenised
        inputs, targets = collate(getattr(tokenised, part), rows, tokenised.pad_token_id)
        if self.place:
            self.place(part, rows, width_of(getattr(tokenised, part), rows))
        if len(self.runs) == 1:
            logits = forward(self.model, inputs, tokenised.kind)[None]
        else:
            stacked = {n: torch.stack([run.parameters[n] for run in self.runs]) for n in self.parameters}
            with warnings.catch_warnings():  # a kernel without a batching rule is slow, which the timing sees
                warnings.filterwarnings("ignore", message="There is a performance drop")
                logits = vmap(lambda parameters: forward(self.model, inputs, tokenised.kind, parameters))(stacked)
        return logits, targets.to(logits.device)

    @torch.no_grad()
    def evaluate(self, part: str, number: int | None, keep: Literal["score", "loss"] | None = None) -> list[Judged]:
        """What each run reaches on the first rows of a split, one of the two unit by unit if asked for."""
        rows = self.rows(part, number)

        def write(units: np.ndarray) -> list[str]:
            sign_of_life()
            if self.place:
                self.place(part, None, 0)  # what is generated is no row of a split
            return generate(self.model, self.tokenised, part, units)

        device = device_of(self.model)
        return judged(self.tokenised, part, rows, lambda r: self.logits(part, r), write, device, keep)

    def seconds_per_step(self) -> float:
        """The forward and backward pass of a first step, as the procedure and the callbacks have it; nothing is learnt."""
        rows = next(endless(self.tokenised.train, self.batch_size, self.seed))

        def step() -> None:
            self.forward_backward(0, rows)
            for run in self.runs:
                run.optimiser.zero_grad(set_to_none=True)

        return fastest(step, self.model)


if TYPE_CHECKING:

    def _is_a_training_session(session: Session) -> TrainingSession:
        """Checked by mypy: what methods and procedures may touch is there."""
        return session
