"""A metric's name, labels and predictions -> a number to maximise. Imports no torch."""

from collections.abc import Callable, Sequence

from autopeft.errors import AutopeftError, did_you_mean


def _accuracy(labels, predictions) -> float:
    from sklearn.metrics import accuracy_score

    return accuracy_score(labels, predictions)


def _macro_f1(labels, predictions) -> float:
    from sklearn.metrics import f1_score

    return f1_score(labels, predictions, average="macro", zero_division=0)


def _matthews(labels, predictions) -> float:
    from sklearn.metrics import matthews_corrcoef

    return matthews_corrcoef(labels, predictions)


METRICS: dict[str, Callable[[Sequence[int], Sequence[int]], float]] = {
    "accuracy": _accuracy,
    "macro-f1": _macro_f1,
    "matthews": _matthews,
}


def check_metric(name: str) -> str:
    """The name itself when there is such a metric; AutopeftError with a suggestion when not."""
    if name not in METRICS:
        raise AutopeftError(f"There is no metric '{name}'.{did_you_mean(name, METRICS)}")
    return name


def score(metric: str, labels: Sequence[int], predictions: Sequence[int]) -> float:
    """Class indices (N,) and predicted ones (N,) -> the metric, in [0, 1] or for matthews [-1, 1]."""
    return float(METRICS[check_metric(metric)](labels, predictions))
