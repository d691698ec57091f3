"""A backbone and rows -> one pooled state per row and layer."""

from typing import TYPE_CHECKING

import numpy as np

from autopeft.importance.calibration import calibration_rows
from autopeft.tasks.batches import batches, collate, moved
from autopeft.tasks.tokens import TokenisedTask

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedConfig

    from autopeft.backbone.loading import Backbone

BATCH = 64
TOKENS = 2048  # at most, of all rows together
FINAL_NORMS = ("norm", "final_norm", "ln_f", "final_layer_norm", "layernorm")


def classed_positions(
    tokenised: TokenisedTask, rows: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Find what has classes in training rows: the rows themselves, or some of their tokens.

    Args:
        tokenised: the task.
        rows: numbers of training rows, (N,).
        seed: of the drawn tokens.

    Returns:
        Rows (P,), places in them (P,) or None for whole rows, and classes (P,).
    """
    kind, split = tokenised.kind, tokenised.train
    if kind.token_classes(split, int(rows[0])) is None:
        return rows, None, kind.strata(split)[rows]
    classes = {row: kind.token_classes(split, row) for row in rows.tolist()}
    of_row = ((row, found) for row, found in classes.items() if found is not None)
    row, place, own = np.array([(r, s, c) for r, found in of_row for s, c in enumerate(found) if c >= 0]).T
    drawn = calibration_rows(own, min(TOKENS, len(own)), seed)
    return row[drawn], place[drawn], own[drawn]


def states_at(
    backbone: "Backbone",
    tokenised: TokenisedTask,
    rows: np.ndarray,
    places: np.ndarray | None,
    pool: str = "model",
    final_norm: bool = True,
) -> np.ndarray:
    """Read the states of rows or tokens, as `classed_positions` found them.

    Args:
        backbone: the frozen model.
        tokenised: the task.
        rows: of each position, (P,).
        places: of each position in its row, (P,), None for whole rows.
        pool: "model" reads a row where the model's head does, "mean" averages its tokens.
        final_norm: read the states below the last norm through it.

    Returns:
        States (L + 1, P, H) in fp32.
    """
    if places is None:
        return pooled_states(backbone, tokenised, rows, pool, final_norm)
    return token_states(backbone, tokenised, rows, places, final_norm)


def token_states(
    backbone: "Backbone", tokenised: TokenisedTask, rows: np.ndarray, places: np.ndarray, final_norm: bool = True
) -> np.ndarray:
    """Read the states of single tokens.

    Args:
        backbone: the frozen model.
        tokenised: the task.
        rows: the training row of each token, (P,).
        places: its place there, (P,).
        final_norm: read the states below the last norm through it.

    Returns:
        States (L + 1, P, H) in fp32.
    """
    import torch

    base, device = backbone.model.base_model, backbone.model.device
    norm = top_norm(backbone.model, backbone.shapes.blocks_path) if final_norm else None
    was_training, wanted, states = base.training, np.unique(rows), np.empty(0)
    base.eval()
    with torch.no_grad():
        for batch in batches(tokenised.train.lengths[wanted], BATCH):
            inputs, _ = collate(tokenised.train, wanted[batch], tokenised.pad_token_id)
            layers = layer_states(base, {name: tensor.to(device) for name, tensor in inputs.items()}, norm)
            here = np.flatnonzero(np.isin(rows, wanted[batch]))
            at = np.argsort(wanted[batch])[np.searchsorted(np.sort(wanted[batch]), rows[here])]
            found = torch.stack([h[at, places[here]].float() for h in layers]).cpu().numpy()
            states = states if states.size else np.empty((len(found), len(rows), found.shape[2]), np.float32)
            states[:, here] = found
    base.train(was_training)
    return states


def pooled_states(
    backbone: "Backbone",
    tokenised: TokenisedTask,
    rows: np.ndarray,
    pool: str = "model",
    final_norm: bool = True,
    part: str = "train",
) -> np.ndarray:
    """One forward pass without gradients over rows of a split -> states (L + 1, N, H) in fp32.

    Args:
        backbone: of one stack of L blocks.
        tokenised: the task.
        rows: row numbers (N,).
        pool: "model" takes the token that the model's own head reads (the first, or a decoder's last), "mean" averages
            the tokens.
        final_norm: apply the norm above the last block to the states below it too; the last state has it already.
        part: "train", "validation" or "test".
    """
    import torch

    base, shapes, split = backbone.model.base_model, backbone.shapes, getattr(tokenised, part)
    first = next(backbone.model.parameters())
    norm = top_norm(backbone.model, shapes.blocks_path) if final_norm else None
    was_training, states = base.training, np.empty(0)
    base.eval()
    with torch.no_grad():
        for places in batches(split.lengths[rows], BATCH):
            inputs = moved(collate(split, rows[places], tokenised.pad_token_id)[0], first)
            mask, how = inputs.get("attention_mask"), pooling(backbone.model.config, shapes.is_decoder, pool)
            layers = [pooled(h, mask, how).float().cpu().numpy() for h in layer_states(base, inputs, norm)]
            states = states if states.size else np.empty((len(layers), len(rows), layers[0].shape[1]), np.float32)
            states[:, places] = np.stack(layers)
    base.train(was_training)
    return states


def layer_states(
    base: "nn.Module", inputs: "dict[str, torch.Tensor]", norm: "nn.Module | None" = None
) -> "list[torch.Tensor]":
    """Inputs (B, S) -> L + 1 states (B, S, H), those below the last put through the final norm if one is given."""
    read = {name: tensor for name, tensor in inputs.items() if name != "logits_to_keep"}  # which is the LM head's
    out = base(**read, output_hidden_states=True)
    below = out.hidden_states[:-1]
    # The last hidden state is already normed by the model.
    return [h if norm is None else norm(h) for h in below] + [out.last_hidden_state]


def top_norm(model: "nn.Module", blocks_path: str) -> "nn.Module | None":
    """The norm above the last block, or None where the blocks end in their own (BERT and its kin)."""
    children = dict(model.get_submodule(blocks_path.rpartition(".")[0]).named_children())
    return next((children[name] for name in FINAL_NORMS if name in children), None)


def pooling(config: "PreTrainedConfig", is_decoder: bool, pool: str) -> str:
    """How one state stands for a row: "first", "last" or "mean"."""
    if pool == "mean":
        return "mean"
    if is_decoder:
        return "last"
    mean = getattr(config, "classifier_pooling", None) == "mean" or getattr(config, "use_mean_pooling", False)
    return "mean" if mean else "first"


def pooled(states: "torch.Tensor", mask: "torch.Tensor | None", how: str) -> "torch.Tensor":
    """States (B, S, H), mask (B, S) of rows padded on the right or None -> (B, H)."""
    import torch

    if how == "first":
        return states[:, 0]
    if how == "last" and mask is not None:
        return states[torch.arange(len(states), device=states.device), mask.sum(1) - 1]
    if mask is None:
        return states.mean(1)
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)
