"""How a toolkit is to train: the recipe in the words of transformers' Trainer, on which most of them are built."""

from typing import Any

from autopeft.base.recipe import BETAS, CLIP, EPSILON, WARMUP, WEIGHT_DECAY, warmup_steps
from autopeft.export.mechanisms.low_rank import LowRank
from autopeft.export.mechanisms.toolkit import Case
from autopeft.study.length import PATIENCE, ending_in_words, length_in_words

BY_LENGTH = {"train_sampling_strategy": "group_by_length"}  # as in the search, rows of similar length make a batch

# For scripts, which need no toolkit's words: the recipe's learning_rate_factor where autopeft is not imported.
RATE = f'''
def rate(step):
    """The share of the learning rate at a step from 0: a linear rise, then a linear fall to zero."""
    rise = max(1, round({WARMUP} * STEPS))
    return (step + 1) / rise if step < rise else (STEPS - step) / max(1, STEPS - rise)
'''

# For scripts with transformers' Trainer: the end of a run as the search has it, of what is `trained`.
BEST_WEIGHTS = f'''
class BestWeights(TrainerCallback):
    """Ends the run after {PATIENCE} evaluations without a lower loss; the weights of the best one count."""

    def __init__(self, trained):
        self.trained, self.losses, self.kept = list(trained), [], []

    def on_step_end(self, args, state, control, **kwargs):
        step = state.global_step
        control.should_evaluate = step == STEPS or (step % EVERY == 0 and step <= STEPS - EVERY)

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        self.losses.append(metrics["eval_loss"])
        waited = len(self.losses) - 1 - self.losses.index(min(self.losses))
        if not waited:
            self.kept = [p.detach().clone() for p in self.trained]
        control.should_training_stop = control.should_training_stop or waited >= {PATIENCE}

    def on_train_end(self, args, state, control, **kwargs):
        with torch.no_grad():
            for parameter, value in zip(self.trained, self.kept):
                parameter.copy_(value)

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
        **best_at_end(case),
        "output_dir": "adapter",
    }


def length(case: Case) -> str:
    """How long the study's runs were, in words, and by what they could end before that."""
    words = length_in_words(case.steps, case.task["train"], case.spec["batch_size"])
    ending = ending_in_words(case.steps, case.spec.get("epochs"))
    return f"{words} of {case.spec['batch_size']} rows" + (
        f", {ending}; the weights of the lowest loss count" if ending else ""
    )


def best_at_end(case: Case) -> dict[str, Any]:
    """The keys by which the best evaluation counts, of a study whose runs could end early; what ends them is a toolkit's own key."""
    every = case.evaluation_interval
    if every is None:
        return {}
    return {
        "eval_strategy": "steps",
        "eval_steps": every,
        "save_strategy": "steps",
        "save_steps": every,
        "save_total_limit": 2,
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
    }


def stopping(case: Case, key: str) -> dict[str, Any]:
    """A toolkit's own key that ends a run, where the study's runs could end early."""
    return {key: PATIENCE} if case.evaluation_interval else {}


def no_early_end(case: Case, toolkit: str) -> tuple[str, ...]:
    """What is lost of an early end in a toolkit without keys for it."""
    if not case.evaluation_interval:
        return ()
    return (
        f"No run ends early: {toolkit} trains all {case.steps:,} steps and keeps the last weights; in the search the weights "
        f"of the lowest validation loss counted, scored every {case.evaluation_interval:,} steps.",
    )


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
