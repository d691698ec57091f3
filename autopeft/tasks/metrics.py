"""Labels and predictions -> a number to maximise."""

import numpy as np

from autopeft.base.own_code import check_takes, imported
from autopeft.tasks.kind import Metric, Values
from autopeft.tasks.unit_metrics import (
    FromSums,
    MeanOverUnits,
    class_counts,
    correlation,
    explained,
    matthews_of,
    mean_f1,
    minus_root_of_error,
    moments,
)


@MeanOverUnits
def accuracy(labels: Values, predictions: Values) -> np.ndarray:
    """The share of predictions that are right."""
    return np.asarray(labels) == np.asarray(predictions)


macro_f1 = FromSums(class_counts, mean_f1)  # the mean over classes of their F1; 0 for a class that is never predicted
matthews = FromSums(class_counts, matthews_of)  # Matthews' correlation coefficient, from -1 to 1; 0 is chance
pearson = FromSums(moments, correlation)  # 0 where either side is constant and has none
r2 = FromSums(moments, explained)  # 1 less the squared error's share of the variance; 0 where the labels have none
neg_rmse = FromSums(moments, minus_root_of_error)  # in the labels' unit, times -1 so that more is better


def spearman(labels: Values, predictions: Values) -> float:
    """Correlation of the ranks; 0 where either side is constant and has none."""
    from scipy.stats import spearmanr

    return 0.0 if _constant(labels) or _constant(predictions) else spearmanr(labels, predictions).statistic


def _constant(values: Values) -> bool:
    return bool(np.min(values) == np.max(values))


@MeanOverUnits
def exact_match(references: Values, predictions: Values) -> np.ndarray:
    """The share of texts that are equal but for case and spaces."""
    return np.array([_words(r) == _words(p) for r, p in zip(references, predictions)])


@MeanOverUnits
def rouge_l(references: Values, predictions: Values) -> np.ndarray:
    """Mean F-measure of the longest common subsequence of words (Lin 2004, ROUGE, section 3.1, beta = 1)."""
    return np.array([_rouge_l(_words(r), _words(p)) for r, p in zip(references, predictions)])


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


def own_metric(name: str) -> Metric:
    """The function that "package.module:function" names, which maps references and predictions to a number to maximise.

    The current folder is searched too. Raises AutopeftError when there is no such function.
    """
    found = imported(name, "metric", folder="")
    check_takes(found, name, "metric", ("references", "predictions"))
    return found
