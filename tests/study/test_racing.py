"""The race: who gets how many seeds by the runs so far."""

from math import inf, sqrt

import pytest

from autopeft.study.racing import error_of_difference, race, run_noise, was_luck


def test_rounds_are_replayed_up_to_the_first_that_lacks_a_run():
    had, asked = {"a": 2, "b": 1}, []

    def missing(seeds):
        return [(name, count) for name, count in seeds.items() if count > had[name]]

    def contenders(seeds):
        asked.append(dict(seeds))
        return {"a", "b"} if seeds["b"] == 1 else {"a"}

    assert race({"a": 3, "b": 3}, missing, contenders) == ({"a": 2, "b": 2}, [("b", 2)])
    had["b"] = 2
    assert race({"a": 3, "b": 3}, missing, contenders) == ({"a": 3, "b": 2}, [("a", 3)])
    had["a"] = 3
    assert race({"a": 3, "b": 3}, missing, contenders) == ({"a": 3, "b": 2}, [])
    assert asked[-1] == {"a": 3, "b": 2}


def test_the_race_ends_where_those_that_go_on_have_all_their_seeds():
    assert race({"a": 1, "b": 2}, lambda seeds: [], lambda seeds: {"a", "b", "another"}) == ({"a": 1, "b": 2}, [])


def runs(name, rate, *values, role="finalist", steps=(25, 100)):
    """Runs of which the value is the same all along, unless it says one for each step."""
    found = [v if isinstance(v, tuple) else (v,) * len(steps) for v in values]
    return [
        {"name": name, "role": role, "configuration": {"learning_rate": rate}, "curve": {"steps": steps, "values": v}}
        for v in found
    ]


def value(run, step):
    return dict(zip(run["curve"]["steps"], run["curve"]["values"])).get(step or run["curve"]["steps"][-1])


def test_noise_is_pooled_within_candidates_at_one_rate():
    several = runs("a", 1e-3, 0.80, 0.82) + runs("a", 2e-3, 0.1) + runs("b", 1e-3, 0.70, 0.70, 0.73)
    assert run_noise(several, value) == pytest.approx(sqrt((0.0002 + 0.0006) / 3))


def test_a_candidate_with_one_seed_is_read_where_its_tuning_ended():
    tuning = runs("a", 1e-3, 0.60, role="tuning", steps=(25,))
    assert run_noise([*tuning, *runs("a", 1e-3, (0.62, 0.9))], value) == pytest.approx(sqrt(0.0002))
    both = [*tuning, *runs("a", 1e-3, (0.62, 0.90), (0.3, 0.94))]
    assert run_noise(both, value) == pytest.approx(sqrt(0.0008)), "two seeds are read at the end"


def test_noise_is_not_known_before_anything_has_two_seeds():
    assert run_noise(runs("a", 1e-3, 0.8) + runs("b", 1e-3, 0.7), value) == inf
    assert run_noise(runs("a", 1e-3, 0.8, 0.9), lambda run, step: None) == inf


def test_a_difference_is_as_uncertain_as_its_means():
    assert error_of_difference(0.01, 1, 1) == pytest.approx(0.01 * sqrt(2))
    assert error_of_difference(0.01, 2, 2) == pytest.approx(0.01)


@pytest.mark.parametrize(
    "losses, luck", [([0.50], False), ([0.52], False), ([0.55], True), ([0.55, 0.50], False), ([], True)]
)
def test_a_tuned_rate_was_luck_where_no_seed_comes_near_the_next(losses, luck):
    assert was_luck(losses, 0.51, noise=0.01) is luck
