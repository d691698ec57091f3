"""Semantic trace analysis: how far each layer's states are from the label's basis, and where to cut (SALF, 2406.11753).

The trace through the layers, the cosine to the label's basis and the trained suffix are SALF's; the bases without an
LM head, the reading of transitions, the three gains and the scores are ours.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.importance import cut as cuts
from autopeft.importance.calibration import calibration_rows, class_weights, refuse_without_classes
from autopeft.importance.class_basis import BASES, head_transitions
from autopeft.importance.hidden_states import classed_positions, states_at
from autopeft.importance.lm_basis import lm_cosines
from autopeft.importance.registry import register
from autopeft.importance.scores import LayerScores
from autopeft.importance.transitions import transition_deviation
from autopeft.tasks.tokens import TokenisedTask

if TYPE_CHECKING:
    from autopeft.backbone.loading import Backbone

RESAMPLES = 1000
GAINS = ("raw", "log", "scaling")
DEVIATIONS = ("states", "transitions")


@register("trace")
def semantic_trace(
    backbone: "Backbone",
    tokenised: TokenisedTask,
    *,
    rows: int = 512,
    seed: int = 0,
    gain: str = "raw",
    min_trained: int = 1,
    max_trained: int | None = None,
    fill: bool = False,
    basis: str | None = None,
    deviation: str = "states",
    pool: str = "model",
    final_norm: bool = True,
) -> LayerScores:
    """Score blocks by the semantic trace.

    Args:
        backbone: with one stack of blocks.
        tokenised: the task; rows of its training split are read.
        rows: about how many of them.
        seed: of their choice and of the bootstrap.
        gain: "raw", "log" or "scaling": which gain makes the cut.
        min_trained: blocks at the top that are trained in any case.
        max_trained: train at most so many blocks.
        fill: freeze exactly as many as max_trained asks for.
        basis: "class-means", "final-means", "head" or "lm-head"; None takes the kind of task's own.
        deviation: "states" measures each state against the basis, "transitions" the step to it (`transition_deviation`);
            the latter with the bases head and lm-head, which are the same for every layer.
        pool: "model" reads a row where the model's head does, "mean" averages its tokens.
        final_norm: the states below the last norm are read through it.

    Raises:
        AutopeftError: an option has no such value, or the backbone or the task is none for this basis.
    """
    if backbone.shapes.decoder_path:
        raise AutopeftError(
            f"The semantic trace follows one stack of blocks, and {backbone.shapes.name} has two: choose another scorer, "
            "such as gradient."
        )
    basis = basis or tokenised.kind.trace_basis
    _check_options(gain, basis, deviation, pool)
    kind, split = tokenised.kind, tokenised.train
    true = kind.true_rows(split)
    chosen = true[calibration_rows(kind.strata(split)[true], rows, seed)]
    if basis == "lm-head":
        to_basis, steps = lm_cosines(backbone, tokenised, chosen, seed)
        per_position = 1 - to_basis if deviation == "states" else transition_deviation(to_basis, steps)
        weights = np.full(len(per_position), 1 / len(per_position))
    else:
        at, places, labels = classed_positions(tokenised, chosen, seed)
        refuse_without_classes(labels, f"The basis {basis}", "choose --basis lm-head")
        states = states_at(backbone, tokenised, at, places, pool, final_norm)
        of_rows = head_transitions if deviation == "transitions" else BASES[basis]
        per_position, weights = _class_deviation(of_rows(states, labels, seed), labels)
    measured = {"basis": basis, "deviation_of": deviation, "rows": len(chosen), "positions": len(weights)}
    return from_deviation(
        "trace",
        per_position,
        weights,
        backbone.shapes,
        measured,
        seed=seed,
        gain=gain,
        min_trained=min_trained,
        max_trained=max_trained,
        fill=fill,
    )


def _class_deviation(deviation: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Deviation (P, L + 1), NaN where none could be measured -> that of the other positions, and their weights."""
    scored = ~np.isnan(deviation).any(axis=1)  # a class with one row has nothing to be scored with
    return deviation[scored], class_weights(labels[scored])


def from_deviation(
    scorer: str,
    per_position: np.ndarray,
    weights: np.ndarray,
    shapes: BackboneShapes,
    measured: dict[str, Any],
    *,
    seed: int = 0,
    gain: str = "raw",
    min_trained: int = 1,
    max_trained: int | None = None,
    fill: bool = False,
) -> LayerScores:
    """Turn deviations into LayerScores with intervals, the three gains and their cuts.

    A block's score is its share of all positive gains, plus 1 if it lies above the cut: every trained block goes
    before every frozen one, and the gains order each group (our rule).

    Args:
        scorer: the name that the scores go by.
        per_position: deviation (N, L + 1), the embeddings first.
        weights: of the positions in the mean, (N,).
        shapes: of the backbone.
        measured: further details to keep.
        seed: of the bootstrap.
        gain: "raw", "log" or "scaling": which gain makes the cut.
        min_trained: as in `cut_at`, like the two that follow.
        max_trained: see there.
        fill: see there.
    """
    deviation = weights @ per_position / weights.sum()
    resampled = cuts.bootstrap(per_position, weights, RESAMPLES, seed)
    parameters = cumulative_parameters(shapes)
    all_gains, resampled_gains = cuts.gains(deviation, parameters), cuts.gains(resampled, parameters)
    flat = cuts.is_flat(deviation)
    cut = {
        name: cuts.cut_at(np.zeros_like(g) if flat else g, min_trained, max_trained, fill)
        for name, g in all_gains.items()
    }
    details = measured | {
        "deviation": deviation.tolist(),
        "deviation_interval": cuts.interval(resampled),
        "gain_used": gain,
        **{_key(name): g.tolist() for name, g in all_gains.items()},
        **{f"{_key(name)}_interval": cuts.interval(g) for name, g in resampled_gains.items()},
        "cuts": cut,
        "saving": cuts.saving(cut[gain], len(all_gains[gain])),
        "argmax_share": float((resampled_gains[gain].argmax(axis=1) == all_gains[gain].argmax()).mean()),
        "budget": cuts.budget_curve(deviation, all_gains[gain]),
    }
    positive = np.maximum(all_gains[gain], 0)
    share = positive / (positive.sum() or 1)
    scores = share + (np.arange(len(share)) >= cut[gain])
    warning = None
    if flat:
        warning = "The deviation does not fall over the layers, so the trace cannot tell them apart" + (
            ": all layers are trained." if not cut[gain] else f": only max_trained={max_trained} makes the cut."
        )
    return LayerScores(scorer, tuple(scores.tolist()), cut[gain], warning, details)


def cumulative_parameters(shapes: BackboneShapes) -> np.ndarray:
    """Parameters from the embeddings up to each layer, (L + 1,)."""
    blocks = np.array(shapes.block_parameters)
    return shapes.backbone_parameters - blocks.sum() + np.concatenate([[0], np.cumsum(blocks)])


def _key(gain: str) -> str:
    return "gain" if gain == "raw" else f"gain_{gain}"


def _check_options(gain: str, basis: str, deviation: str, pool: str) -> None:
    _check("gain", gain, GAINS)
    _check("basis", basis, [*BASES, "lm-head"])
    _check("deviation", deviation, DEVIATIONS)
    _check("pool", pool, ("model", "mean"))
    if deviation == "transitions" and basis not in ("head", "lm-head"):
        raise AutopeftError(
            f"Transitions lead to the basis of one label, not to {basis}: choose the basis head or lm-head."
        )


def _check(option: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise AutopeftError(f"Unknown {option} '{value}'." + did_you_mean(value, choices))
