"""LM head -> semantic bases of tokens, and how far each layer is from the next token's."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from autopeft.base.errors import AutopeftError
from autopeft.importance.hidden_states import layer_states, top_norm
from autopeft.tasks.batches import batches, collate, padded
from autopeft.tasks.language import IGNORED
from autopeft.tasks.tokens import TokenisedSplit, TokenisedTask

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from autopeft.backbone.loading import Backbone

BATCH = 16
RIDGE = 1e-12  # of the mean diagonal of W^T W, so that the Cholesky factor exists
CHUNK = 8192  # rows of W that are held in fp64 at a time
PER_TEXT = 8  # positions drawn from each text


def semantic_bases(weight: "torch.Tensor", tokens: "torch.Tensor") -> "torch.Tensor":
    """LM head W (V, H), tokens (T,) -> bases (T, H): s_i = (W^T W)^-1 w_i, solved for these tokens alone."""
    import torch

    # In fp64, for W^T W squares W's condition number: at 3e3, sums in fp32 turn the bases to a cosine of .97.
    gram = sum(rows.T @ rows for rows in map(torch.Tensor.double, weight.split(CHUNK)))
    gram.diagonal().add_(RIDGE * gram.diagonal().mean())
    return torch.cholesky_solve(weight[tokens].double().T, torch.linalg.cholesky(gram)).T.float()


def lm_deviation(backbone: "Backbone", tokenised: TokenisedTask, rows: np.ndarray, seed: int) -> np.ndarray:
    """Measure how far each layer is from the token to predict, at drawn positions.

    A decoder predicts the next token, of the response where the task says what that is; an encoder the token under a
    mask.

    Args:
        backbone: the frozen model.
        tokenised: the task.
        rows: numbers of training rows, (N,).
        seed: of the drawn positions.

    Returns:
        1 - cos(state, basis of the token to predict), (P, L + 1).

    Raises:
        AutopeftError: the checkpoint holds no LM head.
    """
    import torch

    if tokenised.kind.modality != "text":
        raise AutopeftError(
            f"The basis lm-head reads words, and {tokenised.kind.title} has none: choose another basis."
        )
    kind, split = tokenised.kind, tokenised.train
    model = load_lm(backbone) if kind.new_head else backbone.model
    generator, found = torch.Generator().manual_seed(seed), []
    weight = model.get_output_embeddings().weight.detach()
    norm = top_norm(model, backbone.shapes.blocks_path)
    mask_token = None if backbone.shapes.is_decoder else backbone.tokenizer.mask_token_id
    with torch.no_grad():
        for places in batches(split.lengths[rows], BATCH):
            inputs, _ = collate(split, rows[places], tokenised.pad_token_id)
            said = None if kind.new_head else predicting(split, rows[places], inputs["input_ids"].shape[1])
            at, targets = positions(inputs, generator, mask_token, said)
            inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
            states = [read_by_head(model, h[at]) for h in layer_states(model.base_model, inputs, norm)]
            unique, own = torch.unique(targets, return_inverse=True)
            bases = semantic_bases(weight, unique.to(weight.device))[own]
            found.append(1 - torch.stack([torch.cosine_similarity(h.float(), bases) for h in states], dim=1).cpu())
    return torch.cat(found).double().numpy()


def predicting(split: TokenisedSplit, rows: np.ndarray, width: int) -> "torch.Tensor":
    """Where the next token is a label (B, S), of a language model's rows."""
    import torch

    following = padded(split.labels, rows, width, IGNORED)[:, 1:] != IGNORED
    return torch.from_numpy(np.pad(following, ((0, 0), (0, 1))))


def positions(
    inputs: "dict[str, torch.Tensor]",
    generator: "torch.Generator",
    mask_token: int | None,
    said: "torch.Tensor | None" = None,
) -> "tuple[tuple[torch.Tensor, ...], torch.Tensor]":
    """Draw up to PER_TEXT predicting positions of each row -> ((P,), (P,)) indices, and the tokens to predict (P,).

    With a mask token the drawn tokens are masked in place (never the first or last of a row). said (B, S): the only
    positions to draw from.
    """
    import torch

    tokens, lengths = inputs["input_ids"], inputs["attention_mask"].sum(1)
    order = torch.rand(tokens.shape, generator=generator)
    place = torch.arange(tokens.shape[1])
    usable = place < lengths[:, None] - 1 if said is None else said
    if mask_token is not None:
        usable &= place > 0
    rank = order.masked_fill(~usable, 2.0).argsort(1).argsort(1)
    share = PER_TEXT if mask_token is None else (lengths * 0.15).ceil().clamp(max=PER_TEXT)[:, None]
    at = torch.nonzero(usable & (rank < share), as_tuple=True)
    targets = tokens[at] if mask_token is not None else tokens[at[0], at[1] + 1]
    if mask_token is not None:
        tokens[at] = mask_token
    return at, targets


class _Read(Exception):
    """Ends the LM head's pass where its last linear is reached."""


def read_by_head(model: "PreTrainedModel", states: "torch.Tensor") -> "torch.Tensor":
    """States (P, H) -> what the last linear of the LM head would read (P, H): the head's own transform applied."""
    from transformers.modeling_outputs import BaseModelOutput

    seen: list[Any] = []

    def stop(_: Any, args: tuple) -> None:
        seen.append(args[0][0])
        raise _Read

    hooks = [
        model.base_model.register_forward_hook(lambda *_: BaseModelOutput(last_hidden_state=states[None])),
        model.get_output_embeddings().register_forward_pre_hook(stop),
    ]
    try:
        with suppress(_Read):
            model(input_ids=states.new_zeros(1, 1).long())
    finally:
        for hook in hooks:
            hook.remove()
    return seen[0]


def load_lm(backbone: "Backbone") -> "PreTrainedModel":
    """The same checkpoint with its LM head, in fp32 and eval mode."""
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, logging

    kind = AutoModelForCausalLM if backbone.shapes.is_decoder else AutoModelForMaskedLM
    source = backbone.model.config._name_or_path
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # what is missing is said below, in one sentence
    try:
        model, loaded = kind.from_pretrained(source, output_loading_info=True, dtype="float32")
    except ValueError as error:
        raise AutopeftError(f"{backbone.shapes.name} has no LM head: choose another basis.") from error
    finally:
        logging.set_verbosity(verbosity)
    if loaded["missing_keys"]:
        missing = sorted(loaded["missing_keys"])[0]
        raise AutopeftError(f"{backbone.shapes.name} holds no LM head ({missing} is missing): choose another basis.")
    return model.to(backbone.model.device).eval()
