"""Labels and predictions -> a number to maximise. Imports no torch."""

import importlib
import math
import re
import string
import sys
from collections import Counter
from collections.abc import Callable, Sequence

from autopeft.errors import AutopeftError


def accuracy(labels, predictions) -> float:
    from sklearn.metrics import accuracy_score

    return accuracy_score(labels, predictions)


def macro_f1(labels, predictions) -> float:
    from sklearn.metrics import f1_score

    return f1_score(labels, predictions, average="macro", zero_division=0)


def matthews(labels, predictions) -> float:
    from sklearn.metrics import matthews_corrcoef

    return matthews_corrcoef(labels, predictions)


def pearson(labels, predictions) -> float:
    """Correlation; 0 where either side is constant and has none."""
    from scipy.stats import pearsonr

    return 0.0 if _constant(labels) or _constant(predictions) else pearsonr(labels, predictions).statistic


def spearman(labels, predictions) -> float:
    """Correlation of the ranks; 0 where either side is constant and has none."""
    from scipy.stats import spearmanr

    return 0.0 if _constant(labels) or _constant(predictions) else spearmanr(labels, predictions).statistic


def r2(labels, predictions) -> float:
    """1 less the squared error's share of the variance; 0 where the labels have none."""
    from sklearn.metrics import r2_score

    return 0.0 if _constant(labels) else r2_score(labels, predictions)


def neg_rmse(labels, predictions) -> float:
    """The root of the mean squared error, in the labels' unit, times -1 so that more is better."""
    from sklearn.metrics import root_mean_squared_error

    return -root_mean_squared_error(labels, predictions)


def entity_f1(labels, predictions) -> float:
    """F1 of whole entities over all sentences, as seqeval counts them: begin, end and type have to be right.

    labels, predictions: a list of tags for each sentence. An I- behind another type, or behind none, begins an entity.
    """
    true, found = ({(n, e) for n, tags in enumerate(side) for e in _entities(tags)} for side in (labels, predictions))
    return 2 * len(true & found) / (len(true) + len(found)) if true or found else 0.0


def _entities(tags) -> list[tuple[int, int, str]]:
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


def is_bio(tags) -> bool:
    """Whether tags mark entities: O, and B- or I- (or S- and E-) before a type."""
    return all(tag == "O" or (tag[:2] in ("B-", "I-", "S-", "E-") and len(tag) > 2) for tag in tags)


def tag_accuracy(labels, predictions) -> float:
    """The share of all words whose tag is right."""
    pairs = [pair for sides in zip(labels, predictions) for pair in zip(*sides, strict=True)]
    return sum(a == b for a, b in pairs) / len(pairs)


def tag_macro_f1(labels, predictions) -> float:
    """The mean over tags of their words' F1."""
    true, found = ([tag for tags in side for tag in tags] for side in (labels, predictions))
    from sklearn.metrics import f1_score

    return f1_score(true, found, labels=sorted({*true, *found} - {""}), average="macro", zero_division=0)


def mrr_at_10(references, predictions) -> float:
    """The mean over queries of 1 / the rank of the first relevant passage, 0 if it is not among the first ten.

    references (N, 2): relevance, query. Of equal scores the irrelevant passage goes first; a query whose passages are
    all relevant or all irrelevant does not count.
    """
    found = [r for r in _by_query(references, predictions) if r.min() == 0]
    return _mean(1 / (1 + (r > 0).argmax()) if (r[:10] > 0).any() else 0.0 for r in found)


def ndcg_at_10(references, predictions) -> float:
    """The mean over queries of the discounted gain of the first ten passages over that of the best order.

    references as in mrr_at_10; the gain is the relevance itself; a query with one relevance only does not count.
    """

    def gain(relevance) -> float:
        return sum(r / math.log2(rank + 1) for rank, r in enumerate(relevance[:10], start=1))

    return _mean(gain(r) / gain(sorted(r, reverse=True)) for r in _by_query(references, predictions))


def _by_query(references, predictions):
    """The relevance of each query's passages, the highest score first; not of a query whose passages are all alike."""
    import numpy as np

    relevance, query = np.asarray(references, dtype=float).T
    order = np.lexsort((relevance, -np.asarray(predictions, dtype=float), query))
    for found in np.split(relevance[order], np.flatnonzero(np.diff(query[order])) + 1):
        if found.min() < found.max():
            yield found


def _mean(values) -> float:
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def exact_answer(references, predictions) -> float:
    """The share of answers that are one of the right texts, both as SQuAD normalises them."""
    return _mean(
        float(any(_answer_words(text) == _answer_words(found) for text in texts))
        for texts, found in zip(references, predictions)
    )


def answer_f1(references, predictions) -> float:
    """The mean F1 of the words of each answer and of the right text that it is nearest to."""
    return _mean(
        max(_word_f1(_answer_words(text), _answer_words(found)) for text in texts)
        for texts, found in zip(references, predictions)
    )


def _answer_words(text: str) -> list[str]:
    """Lower case, without punctuation and articles (Rajpurkar et al. 2016, arXiv 1606.05250)."""
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def _word_f1(true: list[str], found: list[str]) -> float:
    common = (Counter(true) & Counter(found)).total()
    if not true or not found:
        return float(true == found)
    return 2 * common / (len(true) + len(found))


def _constant(values) -> bool:
    return min(values) == max(values)


def exact_match(references, predictions) -> float:
    """The share of texts that are equal but for case and spaces."""
    return sum(_words(r) == _words(p) for r, p in zip(references, predictions)) / len(references)


def rouge_l(references, predictions) -> float:
    """Mean F-measure of the longest common subsequence of words (Lin 2004, ROUGE, section 3.1, beta = 1)."""
    return sum(_rouge_l(_words(r), _words(p)) for r, p in zip(references, predictions)) / len(references)


def _rouge_l(reference: list[str], prediction: list[str]) -> float:
    above = [0] * (len(prediction) + 1)
    for word in reference:
        row = [0]
        for place, other in enumerate(prediction):
            row.append(above[place] + 1 if word == other else max(row[place], above[place + 1]))
        above = row
    return 2 * above[-1] / max(1, len(reference) + len(prediction))


def _words(text: str) -> list[str]:
    return text.lower().split()


def own_metric(name: str) -> Callable[[Sequence, Sequence], float]:
    """ "package.module:function" -> the function (references, predictions) -> a number to maximise.

    The current folder is searched too. Raises AutopeftError when there is no such function.
    """
    module, _, function = name.partition(":")
    sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise AutopeftError(
            f"The metric '{name}' cannot be imported: {error}. Write package.module:function."
        ) from None
    finally:
        sys.path.remove("")
