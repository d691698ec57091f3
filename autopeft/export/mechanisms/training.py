"""How a toolkit is to train: the recipe in the words of transformers' Trainer, on which most of them are built."""

from typing import Any

from autopeft.base.recipe import BETAS, CLIP, EPSILON, WARMUP, WEIGHT_DECAY, warmup_steps
from autopeft.export.mechanisms.low_rank import LowRank
from autopeft.export.mechanisms.toolkit import Case

BY_LENGTH = {"train_sampling_strategy": "group_by_length"}  # as in the search, rows of similar length make a batch

# For scripts, which need no toolkit's words: the recipe's learning_rate_factor where autopeft is not imported.
RATE = f'''
def rate(step):
    """The share of the learning rate at a step from 0: a linear rise, then a linear fall to zero."""
    rise = max(1, round({WARMUP} * STEPS))
    return (step + 1) / rise if step < rise else (STEPS - step) / max(1, STEPS - rise)
'''


def adamw() -> dict[str, float]:
    """The numbers of the recipe's AdamW, by the names of TrainingArguments: no toolkit's own default shall count."""
    return {
        "adam_beta1": BETAS[0],
        "adam_beta2": BETAS[1],
        "adam_epsilon": EPSILON,
        "weight_decay": WEIGHT_DECAY,
        "max_grad_norm": CLIP,
    }


def schedule(steps: int) -> dict[str, int]:
    """The linear schedule of transformers that is nearest to the recipe's over T steps with a rise of w.

    At step s from 0 transformers has the rate s / w, the recipe (s + 1) / w. Two steps more make of the first one an idle
    step at a rate of 0; the rise is then the recipe's own, and the fall one step longer, so that the sum of the rates is
    the recipe's, T / 2 + 1, which no length of the rise could make it. A rise of a single step is none: without warm-up
    transformers begins at the full rate, and one step more makes the sum the same.
    """
    rise = warmup_steps(steps)
    return {"warmup_steps": rise, "max_steps": steps + 2} if rise > 1 else {"warmup_steps": 0, "max_steps": steps + 1}


def trainer_arguments(case: Case) -> dict[str, Any]:
    """The keys of transformers' TrainingArguments, which the toolkits that are built on its Trainer take as they are."""
    return {
        "learning_rate": case.learning_rate,
        "lr_scheduler_type": "linear",
        **schedule(case.steps),
        "optim": "adamw_torch",
        **adamw(),
        "per_device_train_batch_size": case.spec["batch_size"],
        "gradient_accumulation_steps": 1,
        "seed": case.spec["seed"],
        "bf16": case.precision == "bf16",
        "output_dir": "adapter",
    }


def weights_format(case: Case) -> str:
    """The number format in which a toolkit loads the model. What is trained is fp32 in a search.

    peft keeps adapters in fp32; weights of the model itself are trained in the format in which they are loaded.
    """
    return "bfloat16" if case.precision == "bf16" and LowRank.of(case) else "float32"


def training_losses(case: Case) -> tuple[str, ...]:
    """What a file that names no device and knows the model's sizes alone says otherwise than the study, a sentence each."""
    losses = []
    if case.format != case.precision:
        losses.append(
            f"The frozen weights were {case.format} and are {case.precision} here: transformers' Trainer refuses bf16 on a CPU."
        )
    if case.shapes.dropout is None:
        losses.append("The model's own dropout may be on: the study is older than the record of it.")
    return tuple(losses)
