"""Configurations relative to the backbone: they carry over to another width and depth, and shrink into limits."""

import pytest
from sizes import bert_shapes

from autopeft.configuration import Configuration
from autopeft.methods import count
from autopeft.space import SpaceFile, build_space
from autopeft.space.relative import RelativeConfiguration

SMALL, LARGE = bert_shapes(hidden=384, layers=6), bert_shapes(hidden=768, layers=12)


def branch(method, shapes):
    return build_space(method, SpaceFile(methods={method: {}}), shapes).branches[0]


def lora(rank, layers, targets="query+value"):
    return Configuration.of("lora", {"rank": rank, "target_modules": targets, "rslora": False}, layers, 1e-3)


def test_it_comes_back_on_its_own_backbone():
    one = lora(8, [3, 4, 5])
    assert RelativeConfiguration.of(one, SMALL).on(branch("lora", SMALL)) == one


def test_sizes_go_with_the_width_and_depth_with_the_layers():
    there = RelativeConfiguration.of(lora(8, [3, 4, 5]), SMALL).on(branch("lora", LARGE))
    assert there == lora(16, range(6, 12))


def test_a_number_that_is_no_size_stays():
    one = Configuration.of("fourierft", {"n_frequency": 1000, "target_modules": "query+value"}, range(6), 1e-3)
    relative = RelativeConfiguration.of(one, SMALL)
    assert dict(relative.settings)["target_modules"] == "query+value"
    assert RelativeConfiguration.from_json(relative.to_json()) == relative


def test_the_same_linears_are_targeted_where_their_names_coincide():
    """A backbone with one fused projection has fewer target sets; the one that selects the same is taken."""
    choices = dict(branch("lora", SMALL).choices)["target_modules"]
    spelled = RelativeConfiguration("lora", (("rank", "width/48"), ("target_modules", "all-linear")), 1.0)
    assert dict(spelled.on(branch("lora", SMALL)).settings)["target_modules"] in choices


@pytest.mark.parametrize("budget", [100_000, 20_000, 3_000, 1_600])
def test_made_smaller_it_fits_and_stays_as_large_as_halving_allows(budget):
    wide = RelativeConfiguration.of(lora(8, range(6)), SMALL)
    made = wide.within(branch("lora", SMALL), lambda c: count(c, SMALL) <= budget)
    assert made and count(made, SMALL) <= budget
    assert 4 * count(made, SMALL) > budget or count(made, SMALL) == count(wide.on(branch("lora", SMALL)), SMALL)


def test_what_can_be_made_no_smaller_is_none():
    assert RelativeConfiguration.of(lora(8, range(6)), SMALL).within(branch("lora", SMALL), lambda _: False) is None
