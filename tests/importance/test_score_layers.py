"""Every scorer on real tiny architectures, through the one function that callers use."""

import json

import numpy as np
import pytest
import torch
from importance_cases import random_rows, tiny_backbone
from tiny import LAYERS, TINY

from autopeft.base.errors import AutopeftError
from autopeft.importance import REGISTRY, LayerScores, score_layers, trace_json, trace_rows
from autopeft.importance.hidden_states import pooled_states


@pytest.mark.parametrize("scorer", sorted(REGISTRY))
@pytest.mark.parametrize("model_type", ["bert", "llama"])
def test_every_scorer_scores_every_block_and_changes_nothing(scorer, model_type):
    backbone, task = tiny_backbone(model_type), random_rows()
    before = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    asked = [p.requires_grad for p in backbone.model.parameters()]
    scores = score_layers(scorer, backbone, task, rows=48, seed=0)
    assert len(scores.scores) == LAYERS and 0 <= scores.cut < LAYERS and np.isfinite(scores.scores).all()
    assert score_layers(scorer, backbone, task, rows=48, seed=0) == scores
    assert LayerScores.from_json(json.loads(json.dumps(scores.to_json()))).scores == scores.scores
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.model.state_dict().items())
    assert [p.requires_grad for p in backbone.model.parameters()] == asked
    assert all(p.grad is None for p in backbone.model.parameters())


@pytest.mark.parametrize("model_type", TINY)
def test_pooled_states_end_in_what_the_head_reads(model_type):
    """One row alone, without padding, gives the same states as in a padded batch, and the model's own last state."""
    backbone, task = tiny_backbone(model_type), random_rows(12)
    states = pooled_states(backbone, task, np.arange(12))
    assert states.shape == (LAYERS + 1, 12, 32)
    ids = torch.tensor(task.train.input_ids[3]).long()[None]
    with torch.no_grad():
        last = backbone.model.base_model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
    token = last[-1] if backbone.shapes.is_decoder else last[0]
    assert torch.allclose(torch.from_numpy(states[-1, 3]), token, atol=1e-5)


@pytest.mark.parametrize("model_type", ["gpt2", "llama", "opt", "gpt_neox", "modernbert"])
def test_the_final_norm_reaches_the_states_below(model_type):
    backbone, task = tiny_backbone(model_type), random_rows(12)
    normed = pooled_states(backbone, task, np.arange(12))
    plain = pooled_states(backbone, task, np.arange(12), final_norm=False)
    assert np.array_equal(normed[-1], plain[-1])
    assert not any(np.allclose(normed[k], plain[k]) for k in range(LAYERS))


@pytest.mark.parametrize("basis", ["class-means", "final-means", "head"])
@pytest.mark.parametrize("pool", ["model", "mean"])
def test_trace_reports_every_number_with_its_interval(basis, pool):
    scores = score_layers("trace", tiny_backbone("bert"), random_rows(), basis=basis, pool=pool)
    d = scores.details
    assert len(d["deviation"]) == len(d["deviation_interval"]) == LAYERS + 1
    for key in ("gain", "gain_log", "gain_scaling"):
        assert len(d[key]) == len(d[f"{key}_interval"]) == LAYERS
    assert np.diff(d["deviation"]) == pytest.approx(-np.array(d["gain"]))
    assert scores.cut == d["cuts"]["raw"] and d["saving"] == pytest.approx(2 / 3 * scores.cut / LAYERS)
    assert all(low <= value <= high for value, (low, high) in zip(d["deviation"], d["deviation_interval"]))
    json.dumps(trace_json(scores))
    assert len(trace_rows(scores)) == LAYERS + 1


def test_trained_blocks_go_before_frozen_ones():
    scores = score_layers("trace", tiny_backbone("bert"), random_rows(), max_trained=1)
    assert scores.cut == LAYERS - 1
    assert min(scores.scores[scores.cut :]) >= 1 >= max(scores.scores[: scores.cut])


def test_a_class_with_one_row_does_not_stop_the_trace():
    task = random_rows(61)
    task.train.labels[-1] = 5
    assert np.isfinite(score_layers("trace", tiny_backbone("bert"), task).scores).all()


@pytest.mark.parametrize(
    "scorer, options, word",
    [
        ("trase", {}, "Did you mean 'trace'?"),
        ("trace", {"basis": "lm-hed"}, "Did you mean 'lm-head'?"),
        ("trace", {"gain": "row"}, "Did you mean 'raw'?"),
        ("trace", {"rows": 1}, "at least 2"),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest(scorer, options, word):
    with pytest.raises(AutopeftError, match=word.replace("?", r"\?")):
        score_layers(scorer, tiny_backbone("bert"), random_rows(), **options)
