"""Pooled states + labels -> deviation per row and layer, for models without an LM head.

Our own definitions, all cross-fitted: what is measured on one half of the rows scores the other half, never itself.
"""

from collections.abc import Callable

import numpy as np

from autopeft.importance.calibration import halves
from autopeft.importance.transitions import transition_deviation

# Of the softmax over cosines, the same at every layer. At 0.1 the states of a real encoder, whose few large directions
# give cosines near 1 and -1, score worse than chance (up to 2.3 on MiniLM-L6), and the gains then measure calibration.
TEMPERATURE = 1.0

Deviation = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # states fitted on, labels, states scored


def class_means(states: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """States (L + 1, N, H) -> deviation (N, L + 1) from each layer's own class means: cross-entropy over ln C."""
    return _cross_fitted(states, labels, seed, lambda fit, y, scored: _means_deviation(fit, y, fit, scored))


def final_means(states: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """As class_means, but the last layer's class means serve every layer, as one fixed set of bases does."""
    return _cross_fitted(
        states,
        labels,
        seed,
        lambda fit, y, scored: _means_deviation(np.broadcast_to(fit[-1:], fit.shape), y, fit, scored),
    )


def head(states: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Deviation 1 - cos (N, L + 1) from the bases s_c = W^+ (e_c - 1/C - b) of a linear probe on the last layer."""
    return _cross_fitted(states, labels, seed, _head_deviation)


def head_transitions(states: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """As head, but the deviation (N, L + 1) of the transitions between the states."""
    return _cross_fitted(states, labels, seed, _head_transitions)


BASES = {"class-means": class_means, "final-means": final_means, "head": head}


def _cross_fitted(states: np.ndarray, labels: np.ndarray, seed: int, deviation: Deviation) -> np.ndarray:
    """Fit on each half and score the other; deviation takes (states fitted on, their labels, states scored)."""
    first, out = halves(labels, seed), np.full((len(labels), len(states)), np.nan)
    for fitted in (first, ~first):
        classes, y = np.unique(labels[fitted], return_inverse=True)
        scored = ~fitted & np.isin(labels, classes)
        per_class = deviation(states[:, fitted], y, states[:, scored])
        own = np.searchsorted(classes, labels[scored])
        out[scored] = per_class[:, np.arange(len(own)), own].T
    return out


def _means_deviation(source: np.ndarray, y: np.ndarray, fit: np.ndarray, scored: np.ndarray) -> np.ndarray:
    """-log softmax(cos / temperature) / ln C of each class, (L + 1, N, C)."""
    source = source - source.mean(axis=1, keepdims=True)
    means = np.stack([source[:, y == c].mean(axis=1) for c in range(y.max() + 1)], axis=1)
    logits = _cosine(scored - fit.mean(axis=1, keepdims=True), means) / TEMPERATURE
    logits -= logits.max(axis=-1, keepdims=True)
    return (np.log(np.exp(logits).sum(axis=-1, keepdims=True)) - logits) / np.log(logits.shape[-1])


def _head_deviation(fit: np.ndarray, y: np.ndarray, scored: np.ndarray) -> np.ndarray:
    return 1 - _cosine(scored - fit.mean(axis=1, keepdims=True), _head_bases(fit, y))


def _head_transitions(fit: np.ndarray, y: np.ndarray, scored: np.ndarray) -> np.ndarray:
    states = scored - fit.mean(axis=1, keepdims=True)
    to_bases = np.moveaxis(_cosine(states, _head_bases(fit, y)), 0, -1)
    steps = np.stack([_cosine(a[:, None], b[:, None])[:, 0, 0] for a, b in zip(states[1:], states)], axis=-1)
    return np.moveaxis(transition_deviation(to_bases, steps[:, None]), -1, 0)


def _head_bases(fit: np.ndarray, y: np.ndarray) -> np.ndarray:
    """States (L + 1, N, H) and their classes (N,) -> the same bases for every layer, (L + 1, C, H)."""
    from sklearn.linear_model import LogisticRegression

    classes = y.max() + 1
    probe = LogisticRegression(max_iter=500).fit(fit[-1] - fit[-1].mean(axis=0), y)
    weight, bias = probe.coef_, probe.intercept_
    if classes == 2:  # scikit-learn keeps one row for two classes
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    bases = (np.eye(classes) - 1 / classes - bias) @ np.linalg.pinv(weight).T
    return np.broadcast_to(bases, (len(fit), *bases.shape))


def _cosine(states: np.ndarray, bases: np.ndarray) -> np.ndarray:
    """(L + 1, N, H), (L + 1, C, H) -> (L + 1, N, C); a state of length zero has cosine 0."""
    lengths = np.linalg.norm(states, axis=-1)[:, :, None] * np.linalg.norm(bases, axis=-1)[:, None, :]
    return states @ np.swapaxes(bases, 1, 2) / np.maximum(lengths, 1e-12)
