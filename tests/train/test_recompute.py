"""Gradient checkpointing on decoders, whose models pass a cache of keys and values along."""

import pytest
import torch
from tiny import tiny_batch, tiny_model

from autopeft.train.recompute import recomputed


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "gpt_neox", "qwen3", "gemma", "opt"])
def test_a_decoder_whose_cache_is_on_has_the_same_gradients(model_type):
    """`autopeft train --gradient-checkpointing` failed on every decoder: keys were added to the cache twice."""
    model = tiny_model(model_type).requires_grad_(True)
    model.config.use_cache = True
    blocks = [m for m in model.modules() if isinstance(m, torch.nn.ModuleList)][0]

    def gradients() -> list[torch.Tensor]:
        model.zero_grad(set_to_none=True)
        model(**tiny_batch(model_type=model_type)).loss.backward()
        return [p.grad.clone() for p in blocks.parameters()]

    plain = gradients()
    with recomputed(blocks):
        again = gradients()
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(plain, again))
