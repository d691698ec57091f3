"""A backbone and rows -> one pooled state per row and layer. Imports torch when it runs."""

import numpy as np

from autopeft.tasks.batches import batches, collate, moved

BATCH = 64
FINAL_NORMS = ("norm", "final_norm", "ln_f", "final_layer_norm", "layernorm")


def pooled_states(backbone, tokenised, rows: np.ndarray, pool: str = "model", final_norm: bool = True) -> np.ndarray:
    """One forward pass without gradients over training rows (N,) -> states (L + 1, N, H) in fp32.

    pool: "model" takes the token that the model's own head reads (the first, or a decoder's last), "mean" averages the
    tokens. final_norm: apply the norm above the last block to the states below it too; the last state has it already.
    """
    import torch

    base, shapes = backbone.model.base_model, backbone.shapes
    first, norm = (
        next(backbone.model.parameters()),
        top_norm(backbone.model, shapes.blocks_path) if final_norm else None,
    )
    was_training, states = base.training, None
    base.eval()
    with torch.no_grad():
        for places in batches(tokenised.train.lengths[rows], BATCH):
            inputs, _ = collate(tokenised.train, rows[places], tokenised.pad_token_id)
            inputs = moved(inputs, first)
            mask, how = inputs.get("attention_mask"), pooling(backbone.model.config, shapes.is_decoder, pool)
            layers = [pooled(h, mask, how).float().cpu().numpy() for h in layer_states(base, inputs, norm)]
            states = np.empty((len(layers), len(rows), layers[0].shape[1]), np.float32) if states is None else states
            states[:, places] = np.stack(layers)
    base.train(was_training)
    return states


def layer_states(base, inputs: dict, norm=None) -> list:
    """Inputs (B, S) -> L + 1 states (B, S, H), those below the last put through the final norm if one is given."""
    read = {name: tensor for name, tensor in inputs.items() if name != "logits_to_keep"}  # which is the LM head's
    out = base(**read, output_hidden_states=True)
    below = out.hidden_states[:-1]
    # The last hidden state is already normed by the model.
    return [h if norm is None else norm(h) for h in below] + [out.last_hidden_state]


def top_norm(model, blocks_path: str):
    """The norm above the last block, or None where the blocks end in their own (BERT and its kin)."""
    children = dict(model.get_submodule(blocks_path.rpartition(".")[0]).named_children())
    return next((children[name] for name in FINAL_NORMS if name in children), None)


def pooling(config, is_decoder: bool, pool: str) -> str:
    """ "first", "last" or "mean": how one state stands for a row."""
    if pool == "mean":
        return "mean"
    if is_decoder:
        return "last"
    mean = getattr(config, "classifier_pooling", None) == "mean" or getattr(config, "use_mean_pooling", False)
    return "mean" if mean else "first"


def pooled(states, mask, how: str):
    """States (B, S, H), mask (B, S) of rows padded on the right or None -> (B, H)."""
    import torch

    if how == "first":
        return states[:, 0]
    if how == "last":
        return states[torch.arange(len(states), device=states.device), mask.sum(1) - 1]
    if mask is None:
        return states.mean(1)
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)
