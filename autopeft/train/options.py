"""How a configuration is trained at full length: what the user may choose."""

import os
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from autopeft.base.recipe import WARMUP
from autopeft.study.task_spec import SEEDS


class TrainingOptions(BaseModel):
    """The options of a full training. The command line's options are made from these fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    steps: int | None = Field(
        None,
        ge=1,
        description="Training steps (default: the study's own length, with an early end where its runs had one).",
    )
    epochs: float | None = Field(None, gt=0, description="Passes over the training rows, instead of --steps.")
    seed: int | None = Field(None, ge=0, le=SEEDS, description="Seed (default: the study's).")
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
        None,
        ge=1,
        description="Score the validation split every this many steps (default: as the study, else halfway and at the end).",
    )
    patience: int | None = Field(
        None, ge=1, description="Stop after this many evaluations without a better one, and keep the best weights."
    )
    watch: Literal["score", "loss"] = Field("score", description="What of the validation split --patience compares.")
    checkpoint_every: int | None = Field(
        None,
        ge=1,
        description="Keep a checkpoint every this many steps; the same command resumes from it after a kill.",
    )
    quantize: Literal["4bit", "8bit"] | None = Field(
        None, description="Train on a backbone rounded to 4 or 8 bits (needs bitsandbytes)."
    )
    trust_remote_code: bool = Field(False, description="Run Python code that comes with the study's model.")
    merge: bool = Field(False, description="Also save the whole model with the adapter merged into its weights.")


def process_count() -> int:
    """How many processes train together; `accelerate launch` and torchrun say so in the environment."""
    return int(os.environ.get("WORLD_SIZE", 1))
