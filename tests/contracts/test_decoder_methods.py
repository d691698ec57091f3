"""What every method keeps to on a language model: the count, the tokens to come unseen, a text written as it is read."""

from functools import cache

import pytest
import torch
from contract_cases import EVERY, layer_sets, settings
from tiny_lm import tiny_lm_backbone, tiny_lm_task

from autopeft.configuration import Configuration
from autopeft.methods import count, refusal
from autopeft.methods.mechanisms.attach import attached, count_built, trainable_parameters
from autopeft.methods.mechanisms.statistics import Statistics


@cache
def statistics(backbone):
    return Statistics(backbone, tiny_lm_task())


@cache
def llama():
    return tiny_lm_backbone("llama")


@pytest.mark.parametrize("method", EVERY)
def test_a_method_on_a_language_model_trains_what_it_counts_and_sees_no_later_token(method):
    backbone = llama()
    if why := refusal(method, backbone.shapes):
        pytest.skip(why)
    layers = layer_sets(method, backbone.shapes.num_layers)[0]
    chosen = Configuration.of(method, settings(method, lambda part, name: part.defaults[name]), layers, 1e-3)
    ids = torch.randint(4, 100, (2, 9), generator=torch.Generator().manual_seed(0))
    other = ids.clone()
    other[:, -1] = (ids[:, -1] + 1) % 90 + 4
    keep = torch.arange(-6, 0)
    with attached(chosen, backbone, 0, statistics(backbone)) as model, torch.no_grad():
        assert count_built(model, ()) == count(chosen, backbone.shapes)
        for _, parameter in trainable_parameters(model):
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
        mask = torch.ones_like(ids)
        one, two = (model(input_ids=x, attention_mask=mask, logits_to_keep=keep).logits for x in (ids, other))
        assert one.shape == (2, 6, 100)
        torch.testing.assert_close(one[:, :-1], two[:, :-1])
        assert not torch.allclose(one[:, -1], two[:, -1])
        cached = not any(getattr(module, "reads_tokens", False) for module in model.modules())
        length = {"max_new_tokens": 3, "do_sample": False, "pad_token_id": 1, "use_cache": cached}
        written = model.generate(input_ids=ids, attention_mask=mask, **length)
        read = model(input_ids=written, attention_mask=torch.ones_like(written)).logits[:, -4:-1].argmax(-1)
        stopped = (written[:, -3:] == 3).cummax(1).values  # after the end token comes padding
        assert ((read == written[:, -3:]) | stopped).all()
