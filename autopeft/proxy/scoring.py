"""A model and rows -> logits, the mean loss and the task's metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from torch.func import functional_call

from autopeft.proxy.generation import GENERATED, device_of, generate, number_format
from autopeft.tasks.batches import collate, unit_batches
from autopeft.tasks.kind import TaskKind
from autopeft.tasks.tokens import PARTS, TokenisedSplit, TokenisedTask
from autopeft.tasks.unit_scores import UnitScores, loss_scores, unit_scores

if TYPE_CHECKING:
    from torch import nn


EVALUATION_BATCH = {"cpu": 32, "cuda": 256}  # on a CPU what fits into its cache is faster


class Judged(NamedTuple):
    """What a run reaches on rows of a split: the mean loss, the task's metric, and one of the two unit by unit if asked for."""

    loss: float
    score: float
    units: UnitScores | None = None


def forward(model: nn.Module, inputs: dict, kind: TaskKind, parameters: dict | None = None) -> torch.Tensor:
    """A forward pass, under autocast when the frozen weights are in bf16, so that adapters stay in fp32.

    Args:
        model: bare or with adapters.
        inputs: what the model is given, by name; brought to its device.
        kind: of the task; says which of the outputs are the logits.
        parameters: tensors that take the place of the model's own of these names.

    Returns:
        Logits (B, ...) in fp32.
    """
    device = device_of(model)
    if device.type == "cuda":
        inputs = {k: v.pin_memory().to(device, non_blocking=True) for k, v in inputs.items()}
    with number_format(model):
        out = model(**inputs) if parameters is None else functional_call(model, parameters, (), inputs)
    return kind.logits(out)


@torch.no_grad()
def judged(
    tokenised: TokenisedTask,
    part: str,
    rows: np.ndarray,
    logits_of: Callable,
    write: Callable,
    device: torch.device,
    keep: Literal["score", "loss"] | None = None,
) -> list[Judged]:
    """Score K runs on rows of a split.

    Args:
        tokenised: the task.
        part: "train", "validation" or "test".
        rows: row numbers (N,).
        logits_of: row numbers (B,) -> logits (K, B, ...) and the targets of the rows.
        write: units -> what the (one) model writes, for metrics of generated texts, which are measured on GENERATED
            units.
        device: decides how many rows are passed at a time.
        keep: what is also given unit by unit.

    Returns:
        What each run reaches.
    """
    kind, split = tokenised.kind, getattr(tokenised, part)
    size, seen, found = EVALUATION_BATCH.get(device.type, EVALUATION_BATCH["cpu"]), [], []
    size, metric = min(size, kind.evaluation_rows or size), tokenised.task.metric
    for chosen in unit_batches(split, size, rows=rows):
        logits, targets = logits_of(chosen)
        found.append([(*kind.losses(one, targets), kind.predictions(one, targets)) for one in logits])
        seen.append(split.units(chosen))
    units = np.concatenate(seen)
    by_unit = order = np.argsort(units)
    texts = None
    if kind.generates(metric):
        units = np.sort(np.random.default_rng(0).permutation(units)[:GENERATED])
        order, texts = np.arange(len(units)), write(units)
    references = kind.references(split, units[order])
    scores = []
    for one in zip(*found):
        values = torch.cat([v for v, _, _ in one]).double()
        weights = torch.ones_like(values) if one[0][1] is None else torch.cat([w for _, w, _ in one]).double()
        predictions = texts or [p for _, _, batch in one for p in batch]
        predictions = [predictions[i] for i in order]
        predictions = predictions if texts else kind.decode(predictions, split, units[order])
        score = kind.score(metric, references, predictions)
        kept = None
        if keep == "score":
            kept = unit_scores(kind.metric(metric), references, predictions)
        elif keep == "loss":
            kept = loss_scores(*(x.numpy(force=True)[by_unit] for x in (values, weights)))
        scores.append(Judged(((values * weights).sum() / weights.sum()).item(), score, kept))
    return scores


def evaluate(model: nn.Module, split: TokenisedSplit, tokenised: TokenisedTask) -> tuple[float, float]:
    """(mean loss, the task's metric) of a model on a split."""
    part = next(p for p in PARTS if getattr(tokenised, p) is split)

    def logits_of(rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        inputs, targets = collate(split, rows, tokenised.pad_token_id)
        logits = forward(model, inputs, tokenised.kind)
        return logits[None], targets.to(logits.device)

    def write(units: np.ndarray) -> list[str]:
        return generate(model, tokenised, part, units)

    (scores,) = judged(tokenised, part, np.arange(len(split)), logits_of, write, device_of(model))
    return scores.loss, scores.score
