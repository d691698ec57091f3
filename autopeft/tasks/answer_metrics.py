"""Right texts and predicted ones -> a number to maximise, as SQuAD computes it."""

import re
import string
from collections import Counter

import numpy as np

from autopeft.tasks.kind import Values
from autopeft.tasks.unit_metrics import MeanOverUnits


@MeanOverUnits
def exact_answer(references: Values, predictions: Values) -> np.ndarray:
    """The share of answers that are one of the right texts, both as SQuAD normalises them."""
    return np.array(
        [any(_words(text) == _words(found) for text in texts) for texts, found in zip(references, predictions)]
    )


@MeanOverUnits
def answer_f1(references: Values, predictions: Values) -> np.ndarray:
    """The mean F1 of the words of each answer and of the right text that it is nearest to."""
    return np.array(
        [max(_word_f1(_words(text), _words(found)) for text in texts) for texts, found in zip(references, predictions)]
    )


def _words(text: str) -> list[str]:
    """Lower case, without punctuation and articles (Rajpurkar et al. 2016, arXiv 1606.05250)."""
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def _word_f1(true: list[str], found: list[str]) -> float:
    common = (Counter(true) & Counter(found)).total()
    if not true or not found:
        return float(true == found)
    return 2 * common / (len(true) + len(found))
