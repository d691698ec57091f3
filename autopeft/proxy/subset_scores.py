"""Training rows -> a score each, from the frozen backbone's states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from autopeft.importance.hidden_states import pooled_states
from autopeft.tasks.batches import collate, unit_batches

if TYPE_CHECKING:
    from torch import nn

    from autopeft.backbone.loading import Backbone
    from autopeft.tasks.tokens import TokenisedTask


RIDGE = 1e-2  # of the surrogate's parameters, in the loss and in its Hessian
MOST_TARGETS = 1000  # validation rows that the train split is compared with
REGULARISATION, ROUNDS = 0.05, 200  # of the entropic transport: a share of the mean cost; Sinkhorn's rounds


def influence(backbone: Backbone, tokenised: TokenisedTask) -> np.ndarray:
    """How much the training loss of a surrogate would rise without each row, (N,) (DEALRec, Lin et al. 2024, eq. 5).

    The surrogate is a linear probe on the pooled last state: mean gradient times inverse Hessian times own gradient,
    with the inverse taken once, by conjugate gradients, as the Hessian is symmetric.
    """
    from scipy.sparse.linalg import LinearOperator, cg
    from sklearn.linear_model import LogisticRegression

    split = tokenised.train
    x, y = standardised(pooled_states(backbone, tokenised, np.arange(len(split)))[-1]), tokenised.kind.strata(split)
    classes, own = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        return np.zeros(len(split))
    n, (width, outputs) = len(x), (x.shape[1], len(classes))
    p = LogisticRegression(C=1 / (RIDGE * n), max_iter=300).fit(x, own).predict_proba(x)
    residual = p - np.eye(outputs)[own]  # the gradient of a row is its outer product with x

    def hessian(vector: np.ndarray) -> np.ndarray:
        z = x @ vector.reshape(width, outputs)
        curved = p * (z - (p * z).sum(1, keepdims=True))
        return (x.T @ curved / n).ravel() + RIDGE * vector

    size = width * outputs
    mean = (x.T @ residual / n).ravel()
    solved, _ = cg(LinearOperator((size, size), hessian), mean, rtol=1e-4, maxiter=200)
    return ((x @ solved.reshape(width, outputs)) * residual).sum(1) / n


def effort(backbone: Backbone, tokenised: TokenisedTask) -> np.ndarray:
    """The norm of each row's gradient, (N,) (DEALRec, eq. 8): of its loss by the states that enter the last block.

    The paper takes the gradient by the model's own parameters, one row at a time; by the states it is one pass for all.
    The head is the resident one, which for a new head is at its random start.
    """
    import torch

    model, split = backbone.model, tokenised.train
    last = model.get_submodule(backbone.shapes.blocks_path)[-1]
    norms = np.empty(len(split))
    seen: list[torch.Tensor] = []

    def see(_: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        hidden = args[0] if args else kwargs["hidden_states"]
        seen[:] = [hidden.detach().requires_grad_(True)]
        return ((seen[0], *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": seen[0]})

    hook = last.register_forward_pre_hook(see, with_kwargs=True)
    try:
        for rows in unit_batches(split, 64):
            inputs, targets = collate(split, rows, tokenised.pad_token_id)
            out = model(**{k: v.to(model.device) for k, v in inputs.items()})
            values, _ = tokenised.kind.losses(tokenised.kind.logits(out), targets.to(model.device))
            (gradient,) = torch.autograd.grad(values.sum(), seen)
            norms[rows] = gradient.float().flatten(1).norm(dim=1).cpu().numpy()
    finally:
        hook.remove()
    return norms


def transport_gradient(backbone: Backbone, tokenised: TokenisedTask) -> np.ndarray:
    """By how much more weight on each training row changes the transport distance to the validation split, (N,).

    The calibrated gradient f_i - mean of the others' f of the dual potentials (GOT-D, Kang et al. 2024; Just et al. 2023,
    arXiv 2305.00054), of the entropic problem between mean-pooled last states of length 1.
    """
    from scipy.spatial.distance import cdist

    held = tokenised.validation
    targets = np.random.default_rng(0).permutation(len(held))[:MOST_TARGETS]
    train = unit_length(pooled_states(backbone, tokenised, np.arange(len(tokenised.train)), "mean")[-1])
    other = unit_length(pooled_states(backbone, tokenised, np.sort(targets), "mean", part="validation")[-1])
    f = potentials(cdist(train, other, "sqeuclidean"))
    n = len(f)
    return f - (f.sum() - f) / (n - 1)


def potentials(cost: np.ndarray) -> np.ndarray:
    """Cost (N, M) between equal weights -> the potential of each row (N,), by Sinkhorn's rounds in the log domain."""
    from scipy.special import logsumexp

    strength = REGULARISATION * cost.mean()
    kernel = -cost / strength
    f, g = np.zeros(len(cost)), np.zeros(cost.shape[1])
    for _ in range(ROUNDS):
        f = -logsumexp(kernel + g - np.log(cost.shape[1]), axis=1)
        g = -logsumexp(kernel + f[:, None] - np.log(len(cost)), axis=0)
    return strength * f


def standardised(x: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and deviation 1, and a column of ones for the bias."""
    return np.column_stack([(x - x.mean(0)) / np.maximum(x.std(0), 1e-6), np.ones(len(x))]).astype(np.float64)


def unit_length(x: np.ndarray) -> np.ndarray:
    """Rows (N, H) scaled to length 1."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
