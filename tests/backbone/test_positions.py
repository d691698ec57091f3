"""How many tokens a row may have, by the config alone."""

import pytest

from autopeft.backbone.positions import positions_of


@pytest.mark.parametrize(
    "config, positions",
    [
        ({"model_type": "bert", "max_position_embeddings": 512}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "gpt2", "n_positions": 1024}, 1024),
        ({"model_type": "llama", "max_position_embeddings": 8192}, 8192),
        ({"model_type": "t5", "n_positions": 512}, None),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512, "relative_attention": True, "position_biased_input": False}, None),
        ({"model_type": "deberta", "max_position_embeddings": 512, "relative_attention": True}, 512),
        ({"model_type": "bert"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_positions_by_the_config(config, positions):
    assert positions_of(config) == positions


def test_the_positions_of_roberta_are_what_its_embedding_has_room_for():
    import torch
    from tiny import tiny_model

    model = tiny_model("roberta")
    most = positions_of(model.config.to_dict())
    fits = torch.full((1, most), 5)
    assert model(input_ids=fits).logits.shape == (1, 3)
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        model(input_ids=torch.full((1, most + 1), 5))
