"""Budgets, limits, objectives, rungs, layers and other texts of one line: a value or one sentence."""

import pytest
from fuzz_cases import NUMBERS, nearly, result_or_sentence
from hypothesis import example, given
from hypothesis import strategies as st
from sizes import bert_shapes

from autopeft.backbone.verbalisers import words_of
from autopeft.base.quantities import bytes_of, seconds_of
from autopeft.counting import configuration_of, parse_layers
from autopeft.objectives import REGISTRY, Limits, Objectives
from autopeft.objectives.limits import parse_limit
from autopeft.space import parse_budget
from autopeft.study.rungs import rungs_of
from autopeft.study.storage_url import said, without_password

SHAPES = bert_shapes()
SETTING = Limits.of_budget(SHAPES).setting


@given(text=nearly(*NUMBERS, "k", "K", "M", "m", "b", "B") | st.floats() | st.integers())
@example(text="9" * 400)
@example(text="9" * 100_000 + "!")
@example(text="1" + " " * 100_000 + "!")
def test_budgets(text):
    budget = result_or_sentence(parse_budget, text, SHAPES.backbone_parameters)
    assert budget is None or (isinstance(budget, int) and budget >= 0)


@pytest.mark.parametrize("read", [seconds_of, bytes_of])
@given(text=nearly(*NUMBERS, "h", "m", "s", "d", "k", "MB", "GB", "T"))
@example(text="9" * 400 + "s")
@example(text="9" * 400)
@example(text="1" + " " * 100_000 + "!")
def test_times_and_sizes(read, text):
    """What pydantic turns into a sentence is a ValueError."""
    try:
        value = read(text)
    except ValueError as error:
        assert str(error).isprintable()
    else:
        assert 0 <= value < float("inf")


@given(text=nearly(*REGISTRY, *NUMBERS, "=", "x", "GB", "k", "FLOPs", "step-time", "accuracy"))
@example(text="parameters=" + "9" * 100_000 + "!")
@example(text="parameters=1" + " " * 100_000 + "!")
@example(text="parameters=1e308P")
def test_limits(text):
    limit = result_or_sentence(parse_limit, text, SETTING)
    assert limit is None or 0 <= limit.most < float("inf")


@given(
    text=nearly(*REGISTRY, "metric", "accuracy", ",", "a:b", ":", "os.path:", "math:pi"),
    metric=st.sampled_from(["accuracy", "r2"]),
)
@example(text=".a:b", metric="accuracy")
@example(text="\x1b[2J", metric="accuracy")
def test_objectives(text, metric):
    found = result_or_sentence(Objectives.of, text, metric)
    assert found is None or len(found) >= 2


@given(text=nearly(*NUMBERS, ",", "/", "none"), steps=st.integers(1, 10**6), rows=st.integers(1, 10**6))
@example(text="1e-999999999", steps=1, rows=1)
def test_rungs(text, steps, rows):
    rungs = result_or_sentence(rungs_of, text, steps, rows)
    assert rungs is None or (rungs[-1].steps == steps and all(1 <= r.steps <= steps for r in rungs))


@given(text=nearly(*NUMBERS, ",", "-", "all", "0-2") | st.integers(), frozen=st.integers(-2, 4))
@example(text="0-999999999999", frozen=0)
def test_layers(text, frozen):
    layers = result_or_sentence(parse_layers, text, frozen, SHAPES.num_layers)
    assert layers is None or set(layers) <= set(range(SHAPES.num_layers))


@given(
    st.sampled_from(["lora", "dcft", "adalora", "lora+ia3", "head_only", "locft"]),
    st.dictionaries(
        st.sampled_from(["rank", "lora.rank", "kernel_size", "target_modules", "rslora", "layers", "frozen_layers"])
        | st.text(max_size=5),
        nearly(*NUMBERS, "true", "query", "+value", "all", "nan") | st.integers() | st.floats() | st.none(),
    ),
)
def test_settings(method, given_):
    result_or_sentence(configuration_of, method, dict(given_), SHAPES.num_layers)


@given(nearly("neg", "pos", "=", ",", "good", "bad"))
def test_verbalisers(text):
    words = result_or_sentence(words_of, text, ("neg", "pos"))
    assert words is None or len(set(words)) == 2


@given(
    st.sampled_from(["postgresql", "sqlite", "mysql+pymysql"]), nearly("user", "/", "?"), st.text(min_size=4), st.text()
)
def test_a_password_in_a_storage_url_is_never_shown(scheme, user, password, rest):
    """A password with its own ':' '@' '/' has to be quoted in a URL; the user's name and host are shown."""
    from urllib.parse import quote

    secret = quote(password, safe="") + "-q7Zk"
    url = f"{scheme}://{quote(user, safe='')}:{secret}@host/{quote(rest)}"
    assert secret not in without_password(url)
    assert secret not in said(ValueError(f"cannot reach {url} with {secret}"), url)
