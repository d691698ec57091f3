"""Metrics by name against values worked out by hand."""

import sys
from functools import partial
from os import system  # noqa: F401  (as a module may that a metric is named in)

import pytest

from autopeft.base.errors import AutopeftError
from autopeft.tasks.kind import get_kind

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
    assert get_kind("classification").score(metric, LABELS, PREDICTIONS) == pytest.approx(value)


def test_an_unknown_metric_is_one_sentence():
    with pytest.raises(AutopeftError, match="Did you mean 'accuracy'"):
        get_kind("classification").score("acuracy", LABELS, PREDICTIONS)


def longest(references, predictions):
    """A metric of the user's own."""
    return max(map(len, predictions)) / len(references)


def test_a_metric_of_the_users_own_is_imported():
    assert get_kind("classification").score(f"{__name__}:longest", [1, 1], ["a", "bcd"]) == 1.5
    with pytest.raises(AutopeftError, match="cannot be imported.*package.module:function"):
        get_kind("classification").score("no.such:thing", [], [])


@pytest.mark.parametrize(
    "name",
    ["os:system", "math:sin", "builtins:exec", "builtins:print", "antigravity:fly", "subprocess:run", ".a:b", "a b:c",
     f"{__name__}:system", f"{__name__}:LABELS", f"{__name__}:of_one", f"{__name__}:printing"],
)  # fmt: skip
def test_what_is_no_metric_is_refused_before_it_is_called(name, capfd):
    """os:system was called with the labels, and any module was imported."""
    with pytest.raises(AutopeftError, match=r"(no metric|cannot be imported)"):
        get_kind("classification").score(name, ["echo called"], ["b"])
    assert capfd.readouterr() == ("", "") and "antigravity" not in sys.modules


printing = partial(print, end="called")


def of_one(references):
    return 1.0
