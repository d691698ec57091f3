"""Prompts -> what a model with its adapters writes after them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from autopeft.tasks.batches import batches
from autopeft.tasks.tokens import TokenisedTask

if TYPE_CHECKING:
    from torch import nn


GENERATED = 100  # units of a split that metrics of generated texts are measured on: writing takes many passes
BATCH = 25


@torch.no_grad()
def generate(model: nn.Module, tokenised: TokenisedTask, part: str, units: np.ndarray) -> list[str]:
    """What the model writes after the prompts of these units, greedily, at most as long as their longest reference."""
    tokenizer: Any = tokenised.tokenizer
    split, pad = getattr(tokenised, part), tokenised.pad_token_id
    prompts, said = tokenised.kind.prompts(split, units), tokenised.kind.references(split, units)
    most = max(map(len, tokenizer(list(said), add_special_tokens=False)["input_ids"])) + 1
    written = [""] * len(units)
    apart = tokenised.kind.two_stacks  # the decoder writes beginning with a token of its own
    cached = not any(getattr(module, "reads_tokens", False) for module in model.modules())
    for places in batches(np.array([len(p) for p in prompts]), BATCH):
        width = max(len(prompts[i]) for i in places)
        ids = np.full((len(places), width), pad, dtype=np.int64)
        mask = np.zeros_like(ids)
        # Padded on the left, since the text grows at the right; an encoder's prompts are padded as in training.
        for row, i in enumerate(places):
            own = slice(len(prompts[i])) if apart else slice(width - len(prompts[i]), width)
            ids[row, own], mask[row, own] = prompts[i], 1
        inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        inputs = {k: v.to(device_of(model)) for k, v in inputs.items()}
        with number_format(model):
            out = model.generate(
                **inputs, do_sample=False, num_beams=1, max_new_tokens=most, pad_token_id=pad, use_cache=cached
            )
        for i, text in zip(places, tokenizer.batch_decode(out[:, 1 if apart else width :], skip_special_tokens=True)):
            written[i] = text.strip()
    return written


def number_format(model: nn.Module) -> AbstractContextManager[object]:
    """The context that a model runs in: autocast where its frozen weights are in bf16."""
    device, dtype = next((p.device, p.dtype) for p in frozen_parameters(model))
    return torch.autocast(device.type, torch.bfloat16) if dtype == torch.bfloat16 else nullcontext()


def frozen_parameters(model: nn.Module) -> Iterator[nn.Parameter]:
    """The resident weights (modules that peft copied keep their original, frozen, beside the copy)."""
    return (p for p in model.parameters() if not p.requires_grad)


def device_of(model: nn.Module) -> torch.device:
    """The device where a model's first parameter is."""
    return next(model.parameters()).device
