"""A study and what the user asks -> Plan: what is trained, how, into which folder. Refuses what cannot be. No torch."""

import math
import os
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from autopeft.base.errors import AutopeftError
from autopeft.base.recipe import WARMUP
from autopeft.base.yaml_files import validated
from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.procedures import get_procedure
from autopeft.result import Result
from autopeft.study.spec import StudySpec


class Recipe(BaseModel):
    """How a configuration is trained in full. The command line's options are made from these fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int | None = Field(None, ge=1, description="Training steps (default: the study's full_steps).")
    epochs: float | None = Field(None, gt=0, description="Passes over the training rows, instead of --steps.")
    seed: int | None = Field(None, ge=0, description="Seed (default: the study's).")
    batch_size: int | None = Field(
        None, ge=1, description="Rows of a step, of all passes and processes together (default: the study's)."
    )
    accumulate: int = Field(1, ge=1, description="Take each step's rows in this many passes, for less memory.")
    gradient_checkpointing: bool = Field(
        False, description="Compute each block again in the backward pass instead of storing it, for less memory."
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear", description="The learning rate after its warm-up; the search's is linear."
    )
    warmup: float = Field(WARMUP, ge=0, lt=1, description="Share of the steps in which the learning rate rises.")
    eval_every: int | None = Field(
        None, ge=1, description="Score the validation split every this many steps (default: halfway and at the end)."
    )
    patience: int | None = Field(
        None, ge=1, description="Stop after this many evaluations without a better one, and keep the best weights."
    )
    watch: Literal["score", "loss"] = Field("score", description="What of the validation split --patience compares.")
    checkpoint_every: int | None = Field(
        None,
        ge=1,
        description="Keep a checkpoint every this many steps; the same command goes on from it after a kill.",
    )
    quantize: Literal["4bit", "8bit"] | None = Field(
        None, description="Train on a backbone rounded to 4 or 8 bits (needs bitsandbytes)."
    )
    merge: bool = Field(False, description="Also save the whole model with the adapter merged into its weights.")


@dataclass(frozen=True)
class Plan:
    """One full training. `work` holds checkpoints while it runs; `folder` appears, whole, at its end."""

    result: Result
    name: str
    configuration: Configuration
    recipe: Recipe
    folder: Path
    overwrite: bool = False

    @classmethod
    def of(cls, study: str | Path, which: str = "best", out=None, overwrite: bool = False, **options) -> "Plan":
        """Read the study and check what is asked. Raises AutopeftError."""
        recipe = validated(Recipe, {k: v for k, v in options.items() if v is not None}, "the training's options")
        result = Result.open(study)
        name, configuration = result.choose(str(which))
        folder = Path(out or Path(study) / "adapters" / name.replace(" ", "-"))
        plan = cls(result, name, configuration, recipe, folder, overwrite)
        for why in (plan.contradiction(), plan.misfit(), plan.folder_taken()):
            if why:
                raise AutopeftError(why)
        return plan

    @cached_property
    def spec(self) -> StudySpec:
        return StudySpec(**self.result.data.spec)

    @property
    def work(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.unfinished")

    @property
    def seed(self) -> int:
        return self.spec.seed if self.recipe.seed is None else self.recipe.seed

    @property
    def batch_size(self) -> int:
        return self.recipe.batch_size or self.spec.batch_size

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.result.data.task["train"] // self.batch_size)

    @property
    def steps(self) -> int:
        if self.recipe.epochs:
            return math.ceil(self.recipe.epochs * self.steps_per_epoch)
        return self.recipe.steps or self.spec.full_steps

    @property
    def evaluations(self) -> tuple[int, ...]:
        """The steps after which the validation split is scored, the last one among them."""
        every = self.recipe.eval_every or max(1, self.steps // 2)
        marks = range(every, self.steps + 1, every) if self.recipe.eval_every else (every,)
        return tuple(sorted({*marks, self.steps}))

    @property
    def checkpoints(self) -> tuple[int, ...]:
        every = self.recipe.checkpoint_every
        return tuple(range(every, self.steps, every)) if every else ()

    def contradiction(self) -> str | None:
        """Why the options do not go together."""
        recipe = self.recipe
        if recipe.steps and recipe.epochs:
            return "Both --steps and --epochs say how long to train: give one of them."
        if recipe.patience and not recipe.eval_every:
            return "--patience counts evaluations: say with --eval-every how often to evaluate."
        if recipe.accumulate * processes() > self.batch_size:
            return (
                f"A step of {self.batch_size} rows cannot be taken in {recipe.accumulate * processes()} parts: lower "
                "--accumulate or raise --batch-size."
            )
        if recipe.merge and recipe.quantize:
            return "--merge needs the backbone's own weights, and --quantize rounds them: leave one of them out."
        if recipe.quantize and find_spec("bitsandbytes") is None:
            return "--quantize needs the package bitsandbytes, which is not installed: 'pip install bitsandbytes'."
        return None

    def misfit(self) -> str | None:
        """Why this configuration cannot be trained like that."""
        recipe, procedure = self.recipe, get_procedure(self.configuration.procedure)
        methods = [get_method(m) for m in self.configuration.methods]
        for part in (*methods, procedure):
            if recipe.accumulate > 1 and not part.in_parts:
                return f"{part.name} needs a step's rows together, so it cannot be accumulated: leave --accumulate out."
            if processes() > 1 and not part.in_parts:
                return f"{part.name} needs a step's rows together: train it in one process."
            if recipe.gradient_checkpointing and not part.repeatable:
                return (
                    f"{part.name} does not compute the same twice, so no block can be computed again: leave "
                    "--gradient-checkpointing out."
                )
        for method in methods:
            if recipe.merge and not method.mergeable:
                return f"{method.name} cannot be merged into the weights of its backbone: leave --merge out."
            if recipe.quantize and not method.quantised_base:
                return f"{method.name} needs the backbone's own weights, and --quantize rounds them: leave it out."
        if procedure.changes_model and (recipe.merge or recipe.quantize):
            option = "--merge" if recipe.merge else "--quantize"
            return f"{procedure.name} changes the backbone while it trains and is scored: leave {option} out."
        return None

    def folder_taken(self) -> str | None:
        """Why nothing may be written there."""
        if self.overwrite or not self.folder.exists():
            return None
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            return None
        return f"{self.folder} exists already: choose another folder with --out, or replace it with --overwrite."

    def identity(self) -> dict:
        """What a checkpoint must agree in to be gone on from."""
        recipe, task = self.recipe, self.result.data.task
        return {
            "configuration": str(self.configuration),
            "model": self.spec.model,
            "data": task.get("fingerprint", ""),
            "seed": self.seed,
            "steps": self.steps,
            "batch_size": self.batch_size,
            "schedule": recipe.schedule,
            "warmup": recipe.warmup,
            "eval_every": recipe.eval_every,
            "patience": recipe.patience,
            "watch": recipe.watch,
            "quantize": recipe.quantize,
        }

    def facts(self) -> dict:
        """What scores.json says of the training."""
        recipe = self.recipe
        return {
            "name": self.name,
            "configuration": self.configuration.to_json(),
            "seed": self.seed,
            "metric": self.spec.metric,
            "folder": str(self.folder),
            "steps": self.steps,
            "epochs": round(self.steps / self.steps_per_epoch, 3),
            "batch_size": self.batch_size,
            "accumulate": recipe.accumulate,
            "processes": processes(),
            "gradient_checkpointing": recipe.gradient_checkpointing,
            "schedule": recipe.schedule,
            "warmup": recipe.warmup,
            "quantize": recipe.quantize,
            "merged": str(self.folder / "merged") if recipe.merge else None,
        }

    def seconds(self) -> float | None:
        """About how long it takes, from the runs that the search made of this configuration; None if it made none."""
        curves = [t.curve for t in self.result.data.trials if t.configuration == self.configuration and t.curve]
        curves += [c for o in self.result.data.outcomes if o.configuration == self.configuration for c in o.curves]
        if not curves:
            return None
        rows = sum(c.steps[-1] for c in curves) * self.spec.batch_size
        return self.steps * self.batch_size * sum(c.seconds for c in curves) / rows / processes()

    def to_json(self) -> dict:
        """What a dry run says."""
        files = ["adapter_config.json", "adapter_model.safetensors", "README.md", "scores.json", "curve.csv"]
        return self.facts() | {
            "evaluations": len(self.evaluations),
            "checkpoints": len(self.checkpoints),
            "resumes": self.work.is_dir() and not self.overwrite,
            "seconds": self.seconds(),
            "files": files + (["merged/"] if self.recipe.merge else []),
        }


def processes() -> int:
    """How many processes train together; `accelerate launch` and torchrun say so in the environment."""
    return int(os.environ.get("WORLD_SIZE", 1))
