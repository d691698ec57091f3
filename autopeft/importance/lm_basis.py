"""LM head -> semantic bases of tokens, and the cosines of each layer's states with the next token's."""

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

    Drawn = tuple[dict[str, torch.Tensor], tuple[torch.Tensor, ...], torch.Tensor]

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


def lm_cosines(
    backbone: "Backbone", tokenised: TokenisedTask, rows: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Measure how near each layer is to the token to predict, at drawn positions.

    A decoder predicts the next token, of the response where the task says what that is; an encoder the token under a
    mask.

    Args:
        backbone: the frozen model.
        tokenised: the task.
        rows: numbers of training rows, (N,).
        seed: of the drawn positions.

    Returns:
        The cosine of each state with the basis of the token to predict, (P, L + 1), and with the state below it, (P, L).

    Raises:
        AutopeftError: the checkpoint holds no LM head.
    """
    import torch

    if tokenised.kind.modality != "text":
        raise AutopeftError(
            f"The basis lm-head reads words, and {tokenised.kind.title} has none: choose another basis."
        )
    model = load_lm(backbone) if tokenised.kind.new_head else backbone.model
    weight, norm = model.get_output_embeddings().weight.detach(), top_norm(model, backbone.shapes.blocks_path)
    drawn, found = _drawn(backbone, tokenised, rows, seed), []
    unique = torch.unique(torch.cat([targets for _, _, targets in drawn]))
    with torch.no_grad():
        bases = semantic_bases(weight, unique.to(weight.device)).double()
        for inputs, at, targets in drawn:
            inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
            states = torch.stack([h[at] for h in layer_states(model.base_model, inputs, norm)])
            read = read_by_head(model, states.flatten(0, 1)).view_as(states).double()  # in one pass of the head
            found.append(_cosines(read, bases[torch.searchsorted(unique, targets)]))
    to_basis, steps = (torch.cat(parts).cpu().numpy() for parts in zip(*found))
    return to_basis, steps


def _drawn(backbone: "Backbone", tokenised: TokenisedTask, rows: np.ndarray, seed: int) -> "list[Drawn]":
    """Batches of rows with the positions drawn in each: inputs, where (P,) and the tokens to predict (P,)."""
    import torch

    kind, split = tokenised.kind, tokenised.train
    generator, found = torch.Generator().manual_seed(seed), []
    mask_token = None if backbone.shapes.is_decoder else backbone.tokenizer.mask_token_id
    for places in batches(split.lengths[rows], BATCH):
        inputs, _ = collate(split, rows[places], tokenised.pad_token_id)
        said = None if kind.new_head else predicting(split, rows[places], inputs["input_ids"].shape[1])
        found.append((inputs, *positions(inputs, generator, mask_token, said)))
    return found


def _cosines(states: "torch.Tensor", bases: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """States (L + 1, P, H), bases (P, H) -> cosines with the bases (P, L + 1), and of each state with the one below (P, L)."""
    from torch import cosine_similarity

    return cosine_similarity(states, bases[None], dim=-1).T, cosine_similarity(states[1:], states[:-1], dim=-1).T


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
        model, loaded = kind.from_pretrained(source, output_loading_info=True, dtype="float32", use_safetensors=True)
    except ValueError as error:
        raise AutopeftError(f"{backbone.shapes.name} has no LM head: choose another basis.") from error
    finally:
        logging.set_verbosity(verbosity)
    if loaded["missing_keys"]:
        missing = sorted(loaded["missing_keys"])[0]
        raise AutopeftError(f"{backbone.shapes.name} holds no LM head ({missing} is missing): choose another basis.")
    return model.to(backbone.model.device).eval()
