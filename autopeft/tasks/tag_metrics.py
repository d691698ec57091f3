"""Tags and predicted tags of sentences -> a number to maximise."""

from collections.abc import Iterable, Sequence

from autopeft.tasks.kind import Values


def entity_f1(labels: Values, predictions: Values) -> float:
    """F1 of whole entities over all sentences, as seqeval counts them: begin, end and type have to be right.

    labels, predictions: a list of tags for each sentence. An I- behind another type, or behind none, begins an entity.
    """
    true, found = ({(n, e) for n, tags in enumerate(side) for e in _entities(tags)} for side in (labels, predictions))
    return 2 * len(true & found) / (len(true) + len(found)) if true or found else 0.0


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


def tag_accuracy(labels: Values, predictions: Values) -> float:
    """The share of all words whose tag is right."""
    pairs = [pair for sides in zip(labels, predictions) for pair in zip(*sides, strict=True)]
    return sum(a == b for a, b in pairs) / len(pairs)


def tag_macro_f1(labels: Values, predictions: Values) -> float:
    """The mean over tags of their words' F1."""
    true, found = ([tag for tags in side for tag in tags] for side in (labels, predictions))
    from sklearn.metrics import f1_score

    return f1_score(true, found, labels=sorted({*true, *found} - {""}), average="macro", zero_division=0)
