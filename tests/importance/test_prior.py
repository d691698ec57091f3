"""What a search does with scores: weights that favour and never forbid."""

import pytest

from autopeft.importance.prior import frozen_layers_weights, layer_on_probability
from autopeft.importance.saving import saving_of
from autopeft.importance.scores import LayerScores

SCORES = LayerScores("trace", (0.1, 0.0, 1.5, 1.2), 2)


def test_frozen_layers_peak_at_the_cut_and_none_is_forbidden():
    weights = frozen_layers_weights(SCORES, 4)
    assert sum(weights) == pytest.approx(1) and min(weights) > 0
    assert max(range(4), key=weights.__getitem__) == 2
    assert weights[1] == pytest.approx(weights[3]) and weights[0] < weights[1]


def test_layers_are_ranked_by_score():
    on = layer_on_probability(SCORES, 4)
    assert sorted(range(4), key=on.__getitem__) == [1, 0, 3, 2]
    assert (min(on), max(on)) == pytest.approx((0.35, 0.95))


def test_ties_share_a_mean():
    scores = LayerScores("made up", (1.0, 2.0, 2.0, 3.0), 0)
    assert layer_on_probability(scores, 4) == pytest.approx((0.35, 0.65, 0.65, 0.95))


def test_scores_that_tell_no_layer_from_another_are_no_scores():
    assert layer_on_probability(LayerScores("uniform", (1.0,) * 4, 0), 4) == layer_on_probability(None, 4)


def test_saving_weighs_depths_by_the_steps_they_save():
    weights = frozen_layers_weights(saving_of(6), 6)
    assert sum(weights) == pytest.approx(1) and weights[3] == pytest.approx(2 * weights[0])
    assert weights[5] == pytest.approx(6 * weights[0])


def test_no_scores_is_uniform():
    assert frozen_layers_weights(None, 4) == (0.25,) * 4 and layer_on_probability(None, 4) == (0.75,) * 4
