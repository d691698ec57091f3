"""What is trained at full length, how, and into which folder."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from autopeft.base.artefacts import local
from autopeft.base.errors import AutopeftError
from autopeft.base.files import check_writable
from autopeft.base.yaml_files import validated
from autopeft.configuration import Configuration
from autopeft.result import Result
from autopeft.study.length import evaluation_steps, patience_of, steps_per_epoch
from autopeft.study.spec import StudySpec
from autopeft.study.trust import check_trusted
from autopeft.train.checks import refusal
from autopeft.train.options import TrainingOptions, process_count
from autopeft.train.trained import PlannedTraining

FILES = ("adapter_config.json", "adapter_model.safetensors", "README.md", "scores.json", "curve.csv")


@dataclass(frozen=True)
class FullTraining:
    """One full training.

    Attributes:
        result: The study.
        name: What is trained: a trial's or a finalist's name.
        configuration: Its configuration.
        options: What the user chose.
        folder: Where the adapter appears, whole, at the end.
        overwrite: Whether that folder is replaced, and an unfinished training dropped.
    """

    result: Result
    name: str
    configuration: Configuration
    options: TrainingOptions
    folder: Path
    overwrite: bool = False

    @classmethod
    def of(
        cls,
        study: str | Path,
        which: str | int = "best",
        out: str | Path | None = None,
        overwrite: bool = False,
        **options: Any,
    ) -> "FullTraining":
        """Read the study and check what is asked.

        Args:
            study: The study folder.
            which: "best", "knee" or a trial's number.
            out: The adapter's folder; STUDY/adapters/NAME by default.
            overwrite: Whether that folder may be replaced.
            **options: Fields of `TrainingOptions`; None stands for the default.

        Raises:
            AutopeftError: There is no such study or trial, or it cannot be trained like that.
        """
        if out and not local(str(out)):
            raise AutopeftError(f"--out is {out}: give a folder, and copy it there when the adapter is whole.")
        given = {k: v for k, v in options.items() if v is not None}
        chosen = validated(TrainingOptions, given, "the training's options")
        result = Result.open(study)
        spec = StudySpec(**result.data.spec)
        check_trusted(spec.trust_remote_code, chosen.trust_remote_code, f"The study in {study}")
        name, configuration = result.choose(str(which))
        folder = (local(str(out)) if out else None) or Path(study) / "adapters" / name.replace(" ", "-")
        training = cls(result, name, configuration, chosen, folder, overwrite)
        if why := refusal(training):
            raise AutopeftError(why)
        check_writable(folder.parent)
        return training

    @cached_property
    def spec(self) -> StudySpec:
        """The study's options."""
        return StudySpec(**self.result.data.spec)

    @property
    def metric(self) -> str:
        """The task's metric."""
        return self.spec.metric or self.result.data.task["metric"]

    @property
    def work(self) -> Path:
        """The folder that holds checkpoints while the training runs."""
        return self.folder.with_name(f"{self.folder.name}.unfinished")

    @property
    def seed(self) -> int:
        """The seed, the study's by default."""
        return self.spec.seed if self.options.seed is None else self.options.seed

    @property
    def batch_size(self) -> int:
        """Rows of a step, of all passes and processes together."""
        return self.options.batch_size or self.spec.batch_size

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass over the training rows."""
        return steps_per_epoch(self.result.data.task["train"], self.batch_size)

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        if self.options.epochs:
            return math.ceil(self.options.epochs * self.steps_per_epoch)
        return self.options.steps or self.spec.steps

    @property
    def as_measured(self) -> bool:
        """Whether it ends early as the study's own runs did: they could, and nothing else was asked for."""
        asked = self.options.steps, self.options.epochs, self.options.eval_every, self.options.patience
        return not any(asked) and patience_of(self.spec.epochs) is not None

    @property
    def patience(self) -> int | None:
        """Evaluations without a better one after which it ends; None trains to the last step."""
        return patience_of(self.spec.epochs) if self.as_measured else self.options.patience

    @property
    def watch(self) -> str:
        """What is compared then, "score" or "loss"."""
        return "loss" if self.as_measured else self.options.watch

    @property
    def evaluations(self) -> tuple[int, ...]:
        """The steps after which the validation split is scored, the last one among them."""
        if self.as_measured:
            return evaluation_steps(self.steps, self.spec.epochs)
        every = self.options.eval_every or max(1, self.steps // 2)
        steps = range(every, self.steps + 1, every) if self.options.eval_every else (every,)
        return tuple(sorted({*steps, self.steps}))

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """The steps after which a checkpoint is written."""
        every = self.options.checkpoint_every
        return tuple(range(every, self.steps, every)) if every else ()

    def identity(self) -> dict[str, Any]:
        """What a checkpoint has to agree in to be resumed from."""
        options, task = self.options, self.result.data.task
        return {
            "configuration": str(self.configuration),
            "model": self.spec.model,
            "data": task.get("fingerprint", ""),
            "seed": self.seed,
            "steps": self.steps,
            "batch_size": self.batch_size,
            "schedule": options.schedule,
            "warmup": options.warmup,
            "eval_every": options.eval_every,
            "patience": self.patience,
            "watch": self.watch,
            "quantize": options.quantize,
        }

    def facts(self) -> dict[str, Any]:
        """The values of `TrainingFacts`, by name."""
        options = self.options
        return {
            "name": self.name,
            "configuration": self.configuration,
            "seed": self.seed,
            "metric": self.metric,
            "folder": self.folder,
            "steps": self.steps,
            "epochs": round(self.steps / self.steps_per_epoch, 3),
            "batch_size": self.batch_size,
            "accumulate": options.accumulate,
            "processes": process_count(),
            "gradient_checkpointing": options.gradient_checkpointing,
            "schedule": options.schedule,
            "warmup": options.warmup,
            "quantize": options.quantize,
            "merged": self.folder / "merged" if options.merge else None,
        }

    def seconds(self) -> float | None:
        """About how long it takes, from the search's own runs of this configuration; None if there are none."""
        curves = [t.curve for t in self.result.data.trials if t.configuration == self.configuration and t.curve]
        curves += [c for o in self.result.data.outcomes if o.configuration == self.configuration for c in o.curves]
        if not curves:
            return None
        rows = sum(c.steps[-1] for c in curves) * self.spec.batch_size
        return self.steps * self.batch_size * sum(c.seconds for c in curves) / rows / process_count()

    def summary(self) -> PlannedTraining:
        """What a dry run says."""
        return PlannedTraining(
            **self.facts(),
            evaluations=len(self.evaluations),
            checkpoints=len(self.checkpoints),
            resumes=self.work.is_dir() and not self.overwrite,
            seconds=self.seconds(),
            files=(*FILES, "merged/") if self.options.merge else FILES,
        )
