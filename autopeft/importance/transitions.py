"""Transitions of a trace: how far the step that a block makes turns from the step to the label's basis.

The abstract of SALF's first version (2406.11753v1) builds its gain on the deviation of virtual from factual transitions
of the latent representation. Its equation was not available to us; what is here is our reading of these words.
"""

import numpy as np

SMALLEST = 1e-12  # of a squared length; below it a step has no direction


def transition_deviation(to_basis: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Cosines of a trace -> the deviation of its transitions, 1 - cos(virtual, factual).

    The factual transition of block k is h_k - h_(k-1), the virtual one s_y - h_(k-1). Both are taken across h_(k-1):
    along it there is only length, which neither cosines nor the norm above the blocks read, and the length of s_y is
    free. What is left of them is h_k and s_y without their parts along h_(k-1), whose cosine is the partial correlation
    (r_k - r_(k-1) q_k) / sqrt((1 - r_(k-1)^2) (1 - q_k^2)) with r_k = cos(h_k, s_y), q_k = cos(h_k, h_(k-1)).

    Args:
        to_basis: r, of the L + 1 states with the label's basis, (..., L + 1).
        steps: q, of each state with the one before, (..., L).

    Returns:
        (..., L + 1): 0 where block k turns the state straight to the basis, 1 sideways, 2 straight away. The embeddings
        make no transition and have 1, and so has a block that does not turn the state.
    """
    below, above = to_basis[..., :-1], to_basis[..., 1:]
    lengths = np.sqrt(np.maximum(1 - below**2, 0) * np.maximum(1 - steps**2, 0))
    turned = lengths > SMALLEST
    cosines = np.where(turned, (above - below * steps) / np.where(turned, lengths, 1), 0)
    return np.concatenate([np.ones_like(to_basis[..., :1]), 1 - np.clip(cosines, -1, 1)], axis=-1)
