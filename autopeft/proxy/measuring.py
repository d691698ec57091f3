"""The objectives that are measured on this machine, taken in the process that trains the configuration."""

from dataclasses import replace
from typing import TYPE_CHECKING

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.objectives import Measured, get_objective
from autopeft.objectives.objective import Probe
from autopeft.proxy.job import Job
from autopeft.proxy.latency import latency_ratio

if TYPE_CHECKING:
    from autopeft.proxy.trainer import Trainer


class TrainerProbe:
    """Times the configuration of a job, and uniform LoRA beside it, on a trainer's backbone and rows.

    Args:
        trainer: its `uniform_lora` is what times are a ratio to.
        job: what is measured.
    """

    def __init__(self, trainer: "Trainer", job: Job) -> None:
        if trainer.uniform_lora is None:
            raise AutopeftError("Nothing was said of what to measure against: give the trainer its uniform_lora.")
        self.configuration, self.uniform_lora = job.configuration, trainer.uniform_lora
        self._trainer, self._job = trainer, job

    def seconds_per_step(self, configuration: Configuration) -> float:
        """Seconds of a first training step, the fastest of a few."""
        return self._trainer.seconds_per_step(replace(self._job, configuration=configuration, state=None))

    def latency_ratio(self) -> float:
        """Seconds of a forward pass over the bare backbone's."""
        trainer = self._trainer
        return latency_ratio(
            trainer.backbone, trainer.tokenised, self.configuration, self._job.seed, trainer.statistics
        )


def measure(trainer: "Trainer", job: Job) -> dict[str, float]:
    """The measured objectives that a job asks for, by name."""
    found = {}
    for name in job.measure:
        objective = get_objective(name)
        if isinstance(objective, Measured):
            found[name] = objective.measure(TrainerProbe(trainer, job))
    return found


if TYPE_CHECKING:

    def _is_a_probe(probe: TrainerProbe) -> Probe:
        """Checked by mypy."""
        return probe
