"""Every metric of every kind: by unit where it is a mean, else on resamples of the units; and both as text."""

import time

import numpy as np
import pytest
import sklearn.metrics as sk

from autopeft.base.errors import AutopeftError
from autopeft.tasks.kind import all_kinds, get_kind
from autopeft.tasks.metrics import accuracy, macro_f1, matthews, neg_rmse, pearson, r2
from autopeft.tasks.tag_metrics import entity_f1
from autopeft.tasks.unit_metrics import MeanOverUnits
from autopeft.tasks.unit_scores import RESAMPLES, UnitScores, loss_scores, resamples, unit_scores

DRAW = np.random.default_rng(0)
WORDS = np.array(["a", "film", "that", "is", "as", "good", "as", "the", "book", "and", "twice", "as", "long"])


def texts(n):
    return [" ".join(DRAW.choice(WORDS, DRAW.integers(1, 6))) for _ in range(n)]


def numbers(n):
    true = DRAW.normal(size=n)
    return true, (true + DRAW.normal(size=n)).tolist()


def queries(n):
    return np.column_stack([np.arange(n) % 3 == 0, np.arange(n) // 5]).astype(float), DRAW.normal(size=n).tolist()


def sentences(n):
    tags = ["O", "B-place", "I-place", "B-person"]
    true = [tuple(DRAW.choice(tags, DRAW.integers(1, 7))) for _ in range(n)]
    found = [tuple(t if DRAW.random() < 0.7 else DRAW.choice([*tags, ""]) for t in row) for row in true]
    return true, found


CLASSES = ("classification", "image-classification", "audio-classification", "multiple-choice")
MADE = {
    "regression": numbers,
    "reranking": queries,
    "token-classification": sentences,
    "choice": lambda n: (DRAW.integers(0, 3, n), [tuple(x) for x in DRAW.integers(0, 3, (n, 2)).tolist()]),
    "question-answering": lambda n: ([texts(2) for _ in range(n)], texts(n)),
    "log-likelihood": lambda n: ([None] * n, [(-float(t), int(t)) for t in DRAW.integers(1, 9, n) + 0.5]),
    **dict.fromkeys(("exact-match", "rouge-l"), lambda n: (texts(n), texts(n))),
    **dict.fromkeys(CLASSES, lambda n: (DRAW.integers(0, 3, n), DRAW.integers(0, 3, n).tolist())),
}
CASES = [(kind.name, metric) for kind in all_kinds().values() for metric in kind.metrics]


def made_up(kind, metric, n=60):
    """References and predictions as this kind hands them to its metrics."""
    return (MADE.get(kind) or MADE[metric])(n)


def taken(values, units):
    return values[units] if isinstance(values, np.ndarray) else [values[unit] for unit in units]


@pytest.mark.parametrize("kind, metric", CASES)
def test_what_a_metric_makes_of_units_is_the_metric(kind, metric):
    references, predictions = made_up(kind, metric)
    function = get_kind(kind).metric(metric)
    found = unit_scores(function, references, predictions)
    assert found == unit_scores(function, references, predictions)
    assert found.resampled == (not hasattr(function, "per_unit"))
    if not found.resampled:
        assert function.per_unit(references, predictions).mean() == pytest.approx(function(references, predictions))
        assert function(references, predictions) == get_kind(kind).score(metric, references, predictions)
        return
    for drawn, value in zip(resamples(len(references)), found.values):
        assert value == pytest.approx(function(taken(references, drawn), taken(predictions, drawn)), abs=1e-6)


@pytest.mark.parametrize("kind, metric", CASES)
def test_all_units_once_give_the_metric(kind, metric, monkeypatch):
    """The resample that holds each unit once."""
    import autopeft.tasks.unit_scores as module

    references, predictions = made_up(kind, metric)
    monkeypatch.setattr(module, "resamples", lambda units: np.arange(units)[None])
    monkeypatch.setattr(module, "_counts", lambda units: np.ones((1, units)))
    function = get_kind(kind).metric(metric)
    expected = get_kind(kind).score(metric, references, predictions)
    assert unit_scores(function, references, predictions).values.mean() == pytest.approx(expected, abs=1e-6)


def test_metrics_are_scikit_learns():
    true, found = DRAW.integers(0, 4, 300), DRAW.integers(0, 5, 300)
    assert accuracy(true, found) == pytest.approx(sk.accuracy_score(true, found))
    assert macro_f1(true, found) == pytest.approx(sk.f1_score(true, found, average="macro", zero_division=0))
    assert matthews(true, found) == pytest.approx(sk.matthews_corrcoef(true, found))
    assert matthews(true, np.zeros(300, int)) == 0
    assert neg_rmse(true, found) == pytest.approx(-sk.root_mean_squared_error(true, found))
    assert pearson(true + 1e6, found) == pytest.approx(np.corrcoef(true, found)[0, 1])
    assert r2(true + 1e6, found + 1e6) == pytest.approx(sk.r2_score(true, found))
    assert pearson([0.1] * 3, [1, 2, 3]) == pearson([1, 2, 3], [0.1] * 3) == r2([0.1] * 3, [1, 2, 3]) == 0
    names = np.array(["no", "yes"])
    assert macro_f1(names[true % 2], list(names[found % 2])) == pytest.approx(macro_f1(true % 2, found % 2))


def test_tags_are_counted_as_over_all_words():
    kind, (true, found) = get_kind("token-classification"), sentences(50)
    words = [[tag for tags in side for tag in tags] for side in (true, found)]
    assert kind.score("accuracy", true, found) == pytest.approx(sk.accuracy_score(*words))
    names = sorted({*words[0], *words[1]} - {""})
    assert kind.score("macro-f1", true, found) == pytest.approx(
        sk.f1_score(*words, labels=names, average="macro", zero_division=0)
    )


def test_the_spread_over_resamples_is_that_over_units():
    """Of a mean, where both are known: s / sqrt(N)."""
    true, found = DRAW.integers(0, 2, 500), DRAW.integers(0, 2, 500)
    over = unit_scores(lambda t, p: accuracy(t, p), true, found)
    assert over.resampled and len(over.values) == RESAMPLES
    units = unit_scores(accuracy, true, found)
    assert over.values.std() == pytest.approx(units.values.std() / np.sqrt(500), rel=0.2)


def test_resamples_are_a_function_of_the_number_of_units():
    assert resamples(50).shape == (RESAMPLES, 50) and resamples(50).max() < 50
    first = resamples(50).copy()
    resamples.cache_clear()
    assert (resamples(50) == first).all() and not (resamples(51)[:, :50] == first).all()


def longest_share(references, predictions):
    """A metric of the user's own that some units do not suffice for."""
    if len({*references}) < 2:
        raise ValueError("one class only")
    return float(np.mean([r == p for r, p in zip(references, predictions)]))


def test_a_resample_that_a_metric_refuses_has_no_value():
    found = unit_scores(get_kind("classification").metric(f"{__name__}:longest_share"), [1] + [0] * 9, [1] * 10)
    assert 0 < np.isnan(found.values).sum() < RESAMPLES


@MeanOverUnits
def right(references, predictions):
    return np.array([r == p for r, p in zip(references, predictions)])


def test_a_metric_of_the_users_own_may_be_a_mean_over_units():
    found = unit_scores(get_kind("classification").metric(f"{__name__}:right"), [1, 0, 1], [1, 1, 1])
    assert not found.resampled and found.values.tolist() == [1, 0, 1]


def test_the_mean_loss():
    losses, weights = DRAW.random(80), DRAW.integers(1, 30, 80)
    assert loss_scores(losses).values == pytest.approx(losses, abs=1e-6)
    assert loss_scores(losses, np.full(80, 3)) == loss_scores(losses)
    weighted = loss_scores(losses, weights)
    first = resamples(80)[0]
    assert weighted.resampled
    assert weighted.values[0] == pytest.approx(np.average(losses[first], weights=weights[first]), abs=1e-6)


@pytest.mark.parametrize(
    "values, resampled",
    [
        ([1, 0, 0, 1, 1, 0, 1, 0, 1], False),
        ([0, 0], False),
        ([0.25, 1 / 3, 0], False),
        ([0.25, float("nan")], True),
        ([1, 0], True),
        ([], False),
    ],
)
def test_the_text_holds_everything(values, resampled):
    scored = UnitScores(np.array(values), resampled)
    back = UnitScores.from_text(scored.to_text())
    assert back == scored and back.resampled is resampled and scored.to_text().isascii()
    assert np.array_equal(back.values, scored.values, equal_nan=True)


def test_right_and_wrong_take_a_bit_each():
    assert len(UnitScores(DRAW.integers(0, 2, 2000), False).to_text()) < 380
    assert len(UnitScores(DRAW.random(RESAMPLES), True).to_text()) < 1200


def test_a_damaged_text_is_one_sentence():
    text = UnitScores(DRAW.integers(0, 2, 100), False).to_text()
    swapped = text[:-6] + ("A" if text[-6] != "A" else "B") + text[-5:]
    for damaged in (swapped, text[:-4], text[5:], text.replace(":100:", ":200:"), "", "unit", None, 5):
        with pytest.raises(AutopeftError, match="unit scores .* are damaged"):
            UnitScores.from_text(damaged)


def test_a_run_is_read_but_not_written():
    with pytest.raises(ValueError):
        UnitScores(np.zeros(3), False).values[0] = 1
    assert {UnitScores(np.zeros(3), False)} == {UnitScores(np.zeros(3), False)}
    assert entity_f1([["O"]], [["O"]]) == 0


def main() -> None:
    """Print the seconds that each metric takes on 2,000 units."""
    for kind, metric in CASES:
        references, predictions = made_up(kind, metric, 2000)
        function = get_kind(kind).metric(metric)
        resamples(len(references))
        start = time.perf_counter()
        found = unit_scores(function, references, predictions)
        print(
            f"| {kind} | {metric} | {'resampled' if found.resampled else 'by unit'} | {time.perf_counter() - start:.3f} |"
        )


if __name__ == "__main__":
    main()
