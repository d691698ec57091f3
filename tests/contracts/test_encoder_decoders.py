"""What every method keeps to in a decoder beside an encoder: no token sees a later one."""

import pytest
import torch
from contract_cases import METHODS, attached, default, fitting
from tiny import tiny_batch

from autopeft.methods.mechanisms.attach import trainable_parameters


@pytest.mark.parametrize("method", METHODS)
def test_no_method_shows_a_decoder_what_it_is_to_predict(method):
    found = fitting(method, "t5")
    batch = tiny_batch(model_type="t5")
    other = {**batch, "labels": batch["labels"].clone()}
    other["labels"][:, 3] = (batch["labels"][:, 3] + 1) % 90 + 4  # the decoder reads it at position 4
    with attached(default(method, found.shapes.num_layers), found, 0) as model, torch.no_grad():
        for _, parameter in trainable_parameters(model):
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
        one, two = (model(**given).logits for given in (batch, other))
    torch.testing.assert_close(one[:, :4], two[:, :4])
    assert not torch.allclose(one[:, 4], two[:, 4])
