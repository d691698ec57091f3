"""Tags and predicted tags of sentences -> a number to maximise."""

from collections.abc import Iterable, Sequence

import numpy as np

from autopeft.tasks.kind import Values
from autopeft.tasks.unit_metrics import class_counts, from_sums, mean_f1, ratio


@from_sums(ratio)
def entity_f1(labels: Values, predictions: Values) -> np.ndarray:
    """F1 of whole entities over all sentences, as seqeval counts them: begin, end and type have to be right.

    labels, predictions: a list of tags for each sentence. An I- behind another type, or behind none, begins an entity.
    Each sentence adds twice the entities that are right, and those of both sides.
    """
    sides = [(set(_entities(true)), set(_entities(found))) for true, found in zip(labels, predictions)]
    return np.array([(2 * len(true & found), len(true) + len(found)) for true, found in sides], dtype=float)


def _entities(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """Tags of a sentence -> (begin, end, type) of its entities, the end not included."""
    found, open_at, before = [], None, ("O", "")
    for place, tag in enumerate((*tags, "O")):
        prefix, _, kind = tag.partition("-")
        inside = prefix not in ("O", "")
        begins = inside and (prefix in "BS" or before[0] in ("O", "", "E", "S") or kind != before[1])
        if open_at is not None and (begins or not inside):
            found.append((open_at, place, before[1]))
            open_at = None
        open_at, before = place if begins else open_at, (prefix, kind)
    return found


def is_bio(tags: Iterable[str]) -> bool:
    """Whether tags mark entities: O, and B- or I- (or S- and E-) before a type."""
    return all(tag == "O" or (tag[:2] in ("B-", "I-", "S-", "E-") and len(tag) > 2) for tag in tags)


@from_sums(ratio)
def tag_accuracy(labels: Values, predictions: Values) -> np.ndarray:
    """The share of all words whose tag is right. Each sentence adds its words that are right, and all of its words."""
    pairs = [list(zip(*sides, strict=True)) for sides in zip(labels, predictions)]
    return np.array([(sum(a == b for a, b in words), len(words)) for words in pairs], dtype=float)


@from_sums(mean_f1)
def tag_macro_f1(labels: Values, predictions: Values) -> np.ndarray:
    """The mean over tags of their words' F1. Each sentence adds the counts of its words, (N, 3 C)."""
    true, found = ([tag for tags in side for tag in tags] for side in (labels, predictions))
    return class_counts(true, found, np.repeat(np.arange(len(labels)), [len(tags) for tags in labels]), left_out="")
