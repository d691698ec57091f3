"""Configuration -> Curve: attach to the resident backbone, train briefly, evaluate, detach."""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import psutil
import torch
from torch.nn.functional import cross_entropy

from autopeft.backbone.loading import Backbone
from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.methods.attach import attached, is_head, trainable_parameters
from autopeft.proxy.curve import Curve
from autopeft.tasks.batches import batches, collate
from autopeft.tasks.metrics import score
from autopeft.tasks.tokens import TokenisedSplit, TokenisedTask

WARMUP = 0.06  # share of the steps over which the learning rate rises; it then falls linearly to zero
CLIP = 1.0  # largest gradient norm
EVALUATION_BATCH = 128


class Diverged(Exception):
    """The loss became NaN or infinite."""


def train(
    backbone: Backbone,
    tokenised: TokenisedTask,
    configuration: Configuration,
    *,
    seed: int,
    steps: int,
    batch_size: int = 32,
    head_learning_rate: float = 1e-3,
    evaluations: int = 1,
    test: bool = False,
    keep: Callable[[torch.nn.Module], None] | None = None,
) -> Curve:
    """Train one configuration for a number of steps and measure it on the validation split.

    The backbone stays in evaluation mode (no dropout runs in its frozen blocks) and is left as it was found.
    evaluations: how many times, evenly spread, the validation split is scored (the last is always at the end).
    head_learning_rate: of the task head, the same for every method (only the linear probe's own rate is the head's): the
    rates of methods lie up to a thousandfold apart, and a head at (IA)^3's rate diverges. test: also score the test split once, at the end. keep: called with the trained model before it is detached.
    Raises Diverged when the loss is no longer finite.
    """
    started = time.monotonic()
    marks = sorted({math.ceil(steps * (i + 1) / evaluations) for i in range(evaluations)})
    rows = []
    reset_peak_memory(backbone.model)
    with attached(configuration, backbone, seed) as model:
        for step, mean_loss in training_steps(
            model, backbone, tokenised, configuration, seed, steps, batch_size, head_learning_rate, marks
        ):
            rows.append((step, mean_loss, *evaluate(model, tokenised.validation, tokenised)))
        tested = evaluate(model, tokenised.test, tokenised) if test else (None, None)
        if keep:
            keep(model)
    at, train_loss, validation_loss, validation_score = zip(*rows)
    return Curve(
        seed,
        at,
        train_loss,
        validation_loss,
        validation_score,
        time.monotonic() - started,
        peak_memory(backbone.model),
        test_loss=tested[0],
        test_score=tested[1],
    )


def training_steps(model, backbone, tokenised, configuration, seed, steps, batch_size, head_learning_rate, marks):
    """Run the steps; yield (step, mean training loss since the last mark) at each mark."""
    parameters = [p for _, p in trainable_parameters(model)]
    optimiser = torch.optim.AdamW(
        parameter_groups(model, backbone, configuration, head_learning_rate), weight_decay=0.0
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: learning_rate_factor(step, steps))
    regularisers = [(get_method(m), configuration.settings_of(m)) for m in configuration.methods]
    since_mark = []
    with torch.random.fork_rng(devices=cuda_devices(backbone.model)):
        torch.manual_seed(seed)
        for step, (inputs, labels) in enumerate(endless(tokenised.train, tokenised, batch_size, seed), start=1):
            logits = forward(model, inputs)
            loss = cross_entropy(logits, labels.to(logits.device))
            for method, settings in regularisers:
                extra = method.extra_loss(model, settings)
                loss = loss if extra is None else loss + extra
            if not torch.isfinite(loss):
                raise Diverged(f"the loss was {loss.item()} at step {step} of {steps}")
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, CLIP)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad(set_to_none=True)
            since_mark.append(loss.item())
            if step in marks:
                yield step, float(np.mean(since_mark))
                since_mark = []
            if step == steps:
                return


def parameter_groups(model, backbone: Backbone, configuration: Configuration, head_learning_rate: float) -> list[dict]:
    """The method's parameters at the configuration's learning rate and the head's at its own."""
    named, head = trainable_parameters(model), backbone.shapes.head_modules
    rate = configuration.learning_rate
    return [
        {"params": [p for n, p in named if not is_head(n, head)], "lr": rate},
        {
            "params": [p for n, p in named if is_head(n, head)],
            "lr": rate if configuration.method == "head_only" else head_learning_rate,
        },
    ]


def learning_rate_factor(step: int, steps: int) -> float:
    """Linear warm-up, then linear decay to zero at the last step."""
    warmup = max(1, round(WARMUP * steps))
    return (step + 1) / warmup if step < warmup else (steps - step) / max(1, steps - warmup)


def endless(split: TokenisedSplit, tokenised: TokenisedTask, batch_size: int, seed: int):
    """Length-bucketed batches, epoch after epoch, in an order that the seed alone decides."""
    generator = np.random.default_rng(seed)
    while True:
        for indices in batches(split.lengths, batch_size, generator):
            yield collate(split, indices, tokenised.pad_token_id)


def forward(model, inputs: dict) -> torch.Tensor:
    """Logits (B, C) in fp32; under autocast when the frozen weights are in bf16, so that adapters stay in fp32."""
    device, dtype = next((p.device, p.dtype) for p in frozen_parameters(model))
    autocast = torch.autocast(device.type, torch.bfloat16) if dtype == torch.bfloat16 else nullcontext()
    with autocast:
        return model(**{k: v.to(device, non_blocking=True) for k, v in inputs.items()}).logits.float()


def frozen_parameters(model):
    """The resident weights (modules that peft copied keep their original, frozen, beside the copy)."""
    return (p for p in model.parameters() if not p.requires_grad)


@torch.no_grad()
def predict(model, split: TokenisedSplit, tokenised: TokenisedTask) -> torch.Tensor:
    """Logits (N, C) of every row of a split, in the split's order."""
    logits = None
    for indices in batches(split.lengths, EVALUATION_BATCH, None):
        inputs, _ = collate(split, indices, tokenised.pad_token_id)
        out = forward(model, inputs).cpu()
        logits = torch.empty(len(split.labels), out.shape[1]) if logits is None else logits
        logits[torch.as_tensor(indices)] = out
    return logits


def evaluate(model, split: TokenisedSplit, tokenised: TokenisedTask) -> tuple[float, float]:
    """(mean cross-entropy, the task's metric) on a split."""
    logits = predict(model, split, tokenised)
    labels = torch.as_tensor(split.labels)
    metric = score(tokenised.task.metric, split.labels, logits.argmax(-1).numpy())
    return cross_entropy(logits, labels).item(), metric


def cuda_devices(model) -> list:
    device = next(model.parameters()).device
    return [device] if device.type == "cuda" else []


def reset_peak_memory(model) -> None:
    for device in cuda_devices(model):
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(model) -> int:
    """Bytes: the device's peak during the run on CUDA, the resident size of the process on a CPU."""
    devices = cuda_devices(model)
    return torch.cuda.max_memory_allocated(devices[0]) if devices else psutil.Process().memory_info().rss
