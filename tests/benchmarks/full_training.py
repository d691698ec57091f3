"""One configuration -> its result at full length, by transformers' Trainer or by a plain PyTorch loop.

Both train in fp32 with the attention and the dropout that transformers gives by default, with the same optimiser,
schedule and learning rates as autopeft (the head has its own: with one rate for both, results could not be compared),
for spec.full_steps batches in random order. A loss that a method adds of its own (DCFT's orthogonality) is left out.
"""

import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import datasets
import numpy as np
import torch
from peft import PeftConfig, PeftModel, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)
from transformers.utils import logging as transformers_logging

import autopeft.methods.tuners  # noqa: F401  (registers our tuners with peft)
from autopeft.backbone.resolve import resolve
from autopeft.base.recipe import CLIP, learning_rate_factor
from autopeft.configuration import Configuration
from autopeft.methods import peft_fields
from autopeft.methods.mechanisms.attach import trainable_parameters
from autopeft.prepare import Prepared
from autopeft.proxy.run import parameter_groups
from autopeft.proxy.scoring import evaluate
from autopeft.tasks.batches import collate
from autopeft.tasks.task import Split
from autopeft.tasks.tokens import TokenisedSplit, TokenisedTask, tokenise

EVALUATION_BATCH = 128  # of the loop by hand
PADDED = 128  # tokens of every row where rows are padded to a cap


class Clock:
    """Wall seconds since it was made, without those that are said not to count, and the seconds of each part."""

    def __init__(self):
        self._started = time.perf_counter()
        self.parts = {"training": 0.0, "evaluation": 0.0, "uncounted": 0.0}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.parts[name] += time.perf_counter() - began

    def seconds(self) -> float:
        return time.perf_counter() - self._started - self.parts["uncounted"]


class PaddedRows:
    """The splits as `datasets` rows of PADDED tokens; the test split apart, for quality, while the clock stands."""

    def __init__(self, prepared: Prepared, clock: Clock):
        datasets.disable_progress_bars()
        tokenizer = tokenizer_of(prepared)
        self.train, self.validation = (padded(getattr(prepared.task, p), tokenizer) for p in ("train", "validation"))
        with clock.part("uncounted"):
            self.tokenised = tokenise(prepared.task, tokenizer, prepared.spec.max_length)


def padded(split: Split, tokenizer) -> datasets.Dataset:
    """Texts or pairs of texts -> rows of PADDED token ids with their labels."""
    pairs = isinstance(split.texts[0], tuple)
    columns = dict(zip(("text", "text2"), zip(*split.texts))) if pairs else {"text": split.texts}
    rows = datasets.Dataset.from_dict({name: list(texts) for name, texts in columns.items()} | {"label": split.labels})
    return rows.map(
        lambda batch: tokenizer(*(batch[c] for c in columns), padding="max_length", truncation=True, max_length=PADDED),
        batched=True,
    )


def by_trainer(prepared: Prepared, rows: PaddedRows, configuration: Configuration, clock: Clock) -> dict:
    """Train and evaluate one configuration with transformers' Trainer."""
    spec, metric = prepared.spec, prepared.task.metric
    torch.manual_seed(spec.seed)
    model = wrapped(loaded(prepared, rows.tokenised.pad_token_id), configuration, prepared)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model,
            TrainingArguments(
                folder,
                max_steps=spec.full_steps,
                per_device_train_batch_size=spec.batch_size,
                max_grad_norm=CLIP,
                seed=spec.seed,
                report_to="none",
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                use_cpu=True,
            ),
            train_dataset=rows.train,
            eval_dataset=rows.validation,
            compute_metrics=lambda p: {
                "score": prepared.task.kind.score(metric, p.label_ids, p.predictions.argmax(-1))
            },
            optimizers=optimiser_and_schedule(model, configuration, prepared),
        )
        trainer.remove_callback(PrinterCallback)
        with clock.part("training"):
            trainer.train()
        with clock.part("evaluation"):
            found = trainer.evaluate()
    return result_of((found["eval_loss"], found["eval_score"]), model, rows.tokenised, clock)


def by_hand(
    prepared: Prepared, tokenised: TokenisedTask, base: PreTrainedModel, configuration: Configuration, clock: Clock
) -> dict:
    """Train and evaluate one configuration in a plain PyTorch loop on a model of its own."""
    spec = prepared.spec
    torch.manual_seed(spec.seed)
    model = wrapped(base, configuration, prepared).train()
    optimiser, schedule = optimiser_and_schedule(model, configuration, prepared)
    trained = [p for p in model.parameters() if p.requires_grad]
    order = shuffled(len(tokenised.train), spec.batch_size, spec.seed)
    with clock.part("training"):
        for _, chosen in zip(range(spec.full_steps), order):
            inputs, labels = collate(tokenised.train, chosen, tokenised.pad_token_id)
            cross_entropy(model(**inputs).logits, labels).backward()
            torch.nn.utils.clip_grad_norm_(trained, CLIP)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad(set_to_none=True)
    with clock.part("evaluation"):
        validation = evaluated_in_order(model.eval(), tokenised.validation, tokenised)
    return result_of(validation, model, tokenised, clock)


def tokenizer_of(prepared: Prepared):
    tokenizer = AutoTokenizer.from_pretrained(resolve(prepared.spec.model))
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def loaded(prepared: Prepared, pad_token_id: int) -> PreTrainedModel:
    """The checkpoint in fp32 with transformers' default attention and a head drawn by the study's seed."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    torch.manual_seed(prepared.spec.seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        resolve(prepared.spec.model), num_labels=len(prepared.task.label_names), dtype=torch.float32
    )
    model.config.pad_token_id = pad_token_id
    return model


def wrapped(model: PreTrainedModel, configuration: Configuration, prepared: Prepared) -> PeftModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get_peft_model(model, PeftConfig.from_peft_type(**peft_fields(configuration, prepared.shapes)))


def optimiser_and_schedule(model: PeftModel, configuration: Configuration, prepared: Prepared) -> tuple:
    """AdamW with a learning rate for the method and one for the head; linear warm-up and decay."""
    named, steps = dict(trainable_parameters(model)), prepared.spec.full_steps
    groups = parameter_groups(named, prepared, configuration, prepared.spec.head_rate)
    optimiser = torch.optim.AdamW(
        [{"params": [named[n] for n in names], "lr": rate} for names, rate in groups], weight_decay=0.0, fused=True
    )
    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: learning_rate_factor(step, steps))


def shuffled(rows: int, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """Row numbers of batches in random order, epoch after epoch."""
    generator = np.random.default_rng(seed)
    while True:
        order = generator.permutation(rows)
        yield from (order[start : start + batch_size] for start in range(0, rows, batch_size))


@torch.no_grad()
def evaluated_in_order(model: PeftModel, split: TokenisedSplit, tokenised: TokenisedTask) -> tuple[float, float]:
    """(mean cross-entropy, the task's metric) from batches in the rows' order, padded to their longest row."""
    batches = np.split(np.arange(len(split)), range(EVALUATION_BATCH, len(split), EVALUATION_BATCH))
    logits = [model(**collate(split, chosen, tokenised.pad_token_id)[0]).logits for chosen in batches]
    logits, labels = torch.cat(logits), torch.as_tensor(split.labels)
    score = tokenised.kind.score(tokenised.task.metric, labels, logits.argmax(-1))
    return torch.nn.functional.cross_entropy(logits, labels).item(), score


def result_of(validation: tuple[float, float], model: PeftModel, tokenised: TokenisedTask, clock: Clock) -> dict:
    """The validation loss and score beside the test split's, which is scored while the clock stands."""
    with clock.part("uncounted"):
        test = evaluate(model.eval(), tokenised.test, tokenised)
    return dict(zip(("validation_loss", "validation_score", "test_loss", "test_score"), (*validation, *test)))
