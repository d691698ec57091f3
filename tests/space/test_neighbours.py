"""Neighbours of a configuration differ from it in one thing."""

from sizes import bert_shapes

from autopeft.configuration import Configuration
from autopeft.space import SpaceFile, build_space
from autopeft.space.neighbours import beside, neighbours

SHAPES = bert_shapes(layers=6, hidden=384)


def branch(method):
    return build_space("one", SpaceFile(methods={method: {}}), SHAPES).branches[0]


def test_one_size_one_word_or_a_few_layers_differ():
    settings = {"rank": 4, "target_modules": "query+value", "rslora": False}
    own = Configuration.of("lora", settings, range(2, 6), 1e-3)
    found = list(neighbours(own, branch("lora")))
    ranks = {dict(c.settings)["rank"] for c in found}
    assert len(ranks) == 3 and min(ranks) < 4 < max(ranks)
    assert {len(c.layers) for c in found} == {2, 3, 4, 5}
    for c in found:
        settings = [dict(c.settings)[k] != v for k, v in own.settings]
        assert sum(settings) + (c.layers != own.layers) == 1 and c.layers == tuple(range(6 - len(c.layers), 6))


def test_a_method_without_settings_or_a_choice_of_layers_has_what_there_is():
    own = Configuration.of("bitfit", {}, range(6), 1e-3)
    assert {c.layers for c in neighbours(own, branch("bitfit"))} == {tuple(range(3, 6)), tuple(range(1, 6))}
    assert beside(2, (8, 2, 4)) == [4] and beside(4, (8, 2, 4)) == [2, 8] and beside(3, (2, 4)) == []
    assert beside(True, (True, False)) == [False]
