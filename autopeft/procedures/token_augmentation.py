"""Token augmentation: tokens of the training texts change places or are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.training import TrainingSession
from autopeft.procedures.mechanisms.draws import generator
from autopeft.procedures.mechanisms.guard import Guard, augmenting
from autopeft.procedures.mechanisms.procedure import Procedure, only_rows

if TYPE_CHECKING:
    import torch
    from torch import nn

    from autopeft.backbone.loading import Backbone


SHARE = 0.5  # of a batch's rows are changed: EDA's one new text per text
Operation = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
SPECIAL = ("pad", "bos", "eos", "cls", "sep", "mask", "unk")


class TokenAugmentation(Procedure):
    """EDA's two operations that need no thesaurus, on tokens instead of words (Wei and Zou 2019).

    "swap" exchanges two random tokens, rate * tokens times; "delete" leaves each token out with probability rate.
    Special tokens stay, tokens change places only between the same two of them (a pair's texts stay apart), and one
    token is always left.
    A guard on validation rows ends it for the rest of a run that it harms.
    """

    name = "token_augmentation"
    title = "EDA (swap or delete tokens)"
    paper = "Wei and Zou 2019, arXiv 1901.11196"
    hyperparameters = {"operation": ("swap", "delete"), "rate": (0.05, 0.1, 0.2)}
    defaults = {"operation": "delete", "rate": 0.1}
    in_parts = False
    needs_whole_backbone = True  # the stored hidden states are those of the texts as they are

    @override
    def refuses(self, methods: tuple[str, ...], shapes: BackboneShapes) -> str | None:
        return only_rows(shapes)

    @override
    def callback(self, session: TrainingSession, settings: Settings) -> Callback | None:
        return Guard(session, settings)

    @override
    def gradients(self, session: TrainingSession, rows: np.ndarray, settings: Settings) -> torch.Tensor:
        if not augmenting(session):
            return super().gradients(session, rows, settings)
        random = generator(session, session.step)
        with changed_tokens(session, OPERATIONS[settings["operation"]], settings["rate"], random):
            return super().gradients(session, rows, settings)


def swap(special: np.ndarray, rate: float, random: np.random.Generator) -> np.ndarray:
    """Exchange tokens of a text.

    Args:
        special: true at tokens that stay, (S,).
        rate: exchanges per token that may move.
        random: the generator.

    Returns:
        The order of the tokens, (S,).
    """
    order = np.arange(len(special))
    parts = [p for p in np.split(order, np.flatnonzero(special)) for p in [p[~special[p]]] if len(p) > 1]
    for _ in range(max(1, round(rate * (~special).sum())) if parts else 0):
        sizes = np.array([len(p) for p in parts])
        i, j = random.choice(parts[random.choice(len(parts), p=sizes / sizes.sum())], 2, replace=False)
        order[[i, j]] = order[[j, i]]
    return order


def delete(special: np.ndarray, rate: float, random: np.random.Generator) -> np.ndarray:
    """Leave tokens of a text out.

    Args:
        special: true at tokens that stay, (S,).
        rate: the probability that a token is left out.
        random: the generator.

    Returns:
        The places of the tokens that are kept.
    """
    kept = special | (random.random(len(special)) >= rate)
    if not kept[~special].any() and not special.all():
        kept[random.choice(np.flatnonzero(~special))] = True
    return np.flatnonzero(kept)


OPERATIONS: dict[str, Operation] = {"swap": swap, "delete": delete}


@contextmanager
def changed_tokens(
    session: TrainingSession, operation: Operation, rate: float, random: np.random.Generator
) -> Iterator[None]:
    """Change the tokens of half of the rows that the model is given, for the length of a with block.

    Args:
        session: the run.
        operation: `swap` or `delete`.
        rate: as in `swap` and `delete`.
        random: the generator.
    """
    import torch

    model, pad = session.model, session.tokenised.pad_token_id
    kept = special_tokens(session.backbone)

    def change(_: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        given = {k: v.cpu().numpy().copy() for k, v in kwargs.items() if isinstance(v, torch.Tensor) and v.ndim == 2}
        ids, mask = given["input_ids"], given["attention_mask"]
        for row in np.flatnonzero(random.random(len(ids)) < SHARE):
            length = int(mask[row].sum())
            order = operation(np.isin(ids[row, :length], kept), rate, random)
            for name, value in given.items():
                value[row, : len(order)] = value[row, :length][order]
                value[row, len(order) :] = pad if name == "input_ids" else 0
        return args, kwargs | {k: torch.from_numpy(v).to(kwargs[k].device) for k, v in given.items()}

    handle = model.register_forward_pre_hook(change, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def special_tokens(backbone: Backbone) -> list[int]:
    """The ids that a text's structure is made of, from the tokenizer and the model's config."""
    config, tokenizer = backbone.model.config, getattr(backbone, "tokenizer", None)
    found = set(tokenizer.all_special_ids) if tokenizer is not None else set()
    for kind in SPECIAL:
        value = getattr(config, f"{kind}_token_id", None)
        found |= set(value) if isinstance(value, list | tuple) else {value} - {None}
    return sorted(found)
