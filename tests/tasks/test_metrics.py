"""Metrics by name against values worked out by hand."""

import pytest

from autopeft.errors import AutopeftError
from autopeft.tasks.metrics import score

LABELS, PREDICTIONS = [0, 0, 0, 1], [0, 0, 1, 1]  # class 0: precision 1, recall 2/3; class 1: precision 1/2, recall 1


@pytest.mark.parametrize(
    "metric, value",
    [
        ("accuracy", 3 / 4),
        ("macro-f1", (4 / 5 + 2 / 3) / 2),
        ("matthews", (1 * 2 - 1 * 0) / (2 * 1 * 3 * 2) ** 0.5),
    ],
)
def test_values(metric, value):
    assert score(metric, LABELS, PREDICTIONS) == pytest.approx(value)


def test_an_unknown_metric_is_one_sentence():
    with pytest.raises(AutopeftError, match="Did you mean 'accuracy'"):
        score("acuracy", LABELS, PREDICTIONS)
