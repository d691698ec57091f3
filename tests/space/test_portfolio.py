"""What a search begins with: the portfolio that comes with autopeft, cut to a space and its limits."""

import pytest
from sizes import bert_shapes

from autopeft.base.run_length import RunLength
from autopeft.configuration import Configuration
from autopeft.methods import count, get_method
from autopeft.objectives import Limits
from autopeft.space import SpaceFile, build_space, default_configurations, load_space, parameters_of
from autopeft.space.portfolio import Portfolio, first_configurations, portfolio
from autopeft.space.rates import BENCHMARK, middle, rate_rule
from autopeft.space.relative import RelativeConfiguration
from autopeft.uniform_lora import uniform_lora

SHAPES = bert_shapes(layers=6, hidden=384)


def test_every_entry_names_a_method_and_settings_that_it_has():
    assert portfolio().entries
    for entry in portfolio().entries:
        assert set(dict(entry.settings)) == set(get_method(entry.method).hyperparameters), entry


@pytest.mark.parametrize("budget", [200_000, 20_000, 2_000])
@pytest.mark.parametrize("name", ["default", "all", "lora"])
def test_every_first_configuration_is_in_the_space_and_within_the_budget(name, budget):
    space = build_space(name, load_space(name), SHAPES, Limits.of_budget(SHAPES, budget))
    found = first_configurations(space, portfolio())
    assert len(found) == len(set(found)) and all(count(c, SHAPES) <= budget for c in found)
    assert all(parameters_of(space, c) for c in found)
    assert {c.method for c in found} >= {b.name for b in space.affordable()} - portfolio().methods


def test_uniform_lora_at_the_budget_is_the_second():
    space = build_space("lora", load_space("lora"), SHAPES, Limits.of_budget(SHAPES, 100_000))
    second = first_configurations(space, portfolio())[1]
    assert count(second, SHAPES) == count(uniform_lora(SHAPES, 100_000), SHAPES) and second.method == "lora"


def test_entries_keep_their_order_and_methods_that_the_benchmark_lacked_follow_with_their_default():
    space = build_space("two", SpaceFile(methods={"lora": {}, "bitfit": {}, "ia3": {}}), SHAPES)
    entries = (
        RelativeConfiguration("ia3", (("target_modules", "key+value+ffn_out"),), 0.5),
        RelativeConfiguration("lora", (("rank", "width/96"), ("rslora", False), ("target_modules", "ffn")), 1.0),
        RelativeConfiguration("dora", (), 1.0),
    )
    found = first_configurations(space, Portfolio(entries, frozenset({"ia3", "lora", "dora"})))
    assert [c.method for c in found] == ["ia3", "lora", "lora", "bitfit"]
    assert (
        found[0].layers == (3, 4, 5) and dict(found[1].settings)["rank"] == 8 and dict(found[2].settings)["rank"] == 4
    )


def test_without_a_portfolio_every_method_begins_with_its_default():
    space = build_space("default", load_space("default"), SHAPES, Limits.of_budget(SHAPES, 100_000))
    assert first_configurations(space, Portfolio()) == default_configurations(space)


def test_rates_lie_around_what_the_rule_expects():
    rule, configuration = rate_rule(), uniform_lora(SHAPES, 100_000)
    expected = rule.rate(configuration, SHAPES, BENCHMARK)
    low, middle, high = rule.around(expected, 3)
    assert low < middle < high and middle == pytest.approx(expected, rel=1e-4)
    assert rule.around(expected, 1) == (middle,)


def test_a_longer_run_wants_a_lower_rate_and_a_larger_batch_a_higher_one():
    """A rule that knew no length chose rates at a rung of 16 steps at which longer runs collapsed."""
    rule, configuration = rate_rule(), uniform_lora(SHAPES, 100_000)
    rates = [rule.rate(configuration, SHAPES, RunLength(steps, 16)) for steps in (16, 250, 4000)]
    assert rates[0] > rates[1] > rates[2]
    assert rule.rate(configuration, SHAPES, RunLength(250, 64)) == pytest.approx(2 * rates[1])


@pytest.mark.parametrize("method", ["full", "head_only"])
def test_the_range_alone_says_where_rates_lie_of_what_the_benchmark_does_not_hold(method):
    """Full fine-tuning was expected at a tenth of the rate it wants, for its size; the head alone at six times."""
    configuration = Configuration.of(method, {}, range(6) if method == "full" else (), 1e-3)
    assert rate_rule().rate(configuration, SHAPES, BENCHMARK) == middle(configuration)
