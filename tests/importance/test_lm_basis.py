"""Semantic bases of an LM head, against the pseudo-inverse, and the trace through a causal LM."""

import numpy as np
import pytest
import torch
from importance_cases import random_rows, tiny_backbone
from tiny import LAYERS, tiny_config

from autopeft.base.errors import AutopeftError
from autopeft.importance import lm_basis, score_layers
from autopeft.importance.lm_basis import load_lm, read_by_head, semantic_bases


def test_normal_equations_are_the_pseudo_inverse():
    torch.manual_seed(0)
    weight, tokens = torch.randn(100, 16), torch.arange(0, 100, 7)
    bases = semantic_bases(weight, tokens)
    assert torch.allclose(bases, torch.linalg.pinv(weight).T[tokens], atol=1e-5)


@pytest.mark.parametrize("outlier", [False, True])
def test_an_ill_conditioned_head_has_the_bases_of_its_pseudo_inverse(outlier):
    """At a condition number of 3e3 a Gram matrix summed in fp32, or a ridge of 1e-6, turns them away."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(n, 64, generator=generator).double()).Q for n in (20_000, 64))
    spectrum = torch.logspace(0, -3.477, 64).double()
    if outlier:  # one direction stands out
        spectrum = torch.tensor([3000.0] + [1.0] * 63).double()
    weight, tokens = (left * spectrum @ right.T).float(), torch.arange(0, 20_000, 97)
    expected = torch.linalg.pinv(weight.double()).T[tokens].float()
    assert torch.cosine_similarity(semantic_bases(weight, tokens), expected).min() > 0.9999


def test_a_basis_makes_its_own_token_the_likeliest():
    """W s_i is column i of a projection; its diagonal is the largest where it is above a half, as it is here."""
    torch.manual_seed(0)
    weight = torch.randn(100, 80)
    assert (weight * semantic_bases(weight, torch.arange(100))).sum(1).min() > 0.5
    assert (weight @ semantic_bases(weight, torch.arange(100)).T).argmax(0).equal(torch.arange(100))


@pytest.fixture
def llama(tmp_path):
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(tiny_config("llama"))
    model.save_pretrained(tmp_path)
    backbone = tiny_backbone("llama")
    backbone.model.config._name_or_path = str(tmp_path)
    return backbone, model


def test_trace_of_a_causal_lm(llama):
    backbone, _ = llama
    scores = score_layers("trace", backbone, random_rows(), rows=24, basis="lm-head")
    assert len(scores.details["deviation"]) == LAYERS + 1 and scores.details["positions"] > 24
    assert all(0 <= d <= 2 for d in scores.details["deviation"])


def test_the_deviation_falls_where_the_model_is_right(llama):
    """An LM trained on the very rows ends nearer to the next tokens' bases than an untrained one."""
    backbone, model = llama
    task = random_rows(9)
    before = score_layers("trace", backbone, task, rows=9, basis="lm-head").details["deviation"][-1]
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(40):
        for ids in task.train.input_ids:
            ids = torch.tensor(ids).long()[None]
            optimiser.zero_grad()
            model(input_ids=ids, labels=ids).loss.backward()
            optimiser.step()
    model.save_pretrained(backbone.model.config._name_or_path)
    after = score_layers("trace", backbone, task, rows=9, basis="lm-head").details["deviation"][-1]
    assert after < before - 0.05


def test_the_heads_own_transform_is_applied():
    """The last state of a masked LM, read through the head, gives the model's own logits."""
    from transformers import AutoModelForMaskedLM

    model = AutoModelForMaskedLM.from_config(tiny_config("bert")).eval()
    ids = torch.arange(5, 13)[None]
    with torch.no_grad():
        out = model(input_ids=ids, output_hidden_states=True)
        read = read_by_head(model, out.hidden_states[-1][0])
        assert torch.allclose(model.get_output_embeddings()(read), out.logits[0], atol=1e-6)


def test_a_checkpoint_without_an_lm_head_is_refused(tmp_path):
    backbone = tiny_backbone("bert")
    backbone.model.save_pretrained(tmp_path)
    backbone.model.config._name_or_path = str(tmp_path)
    with pytest.raises(AutopeftError, match="LM head"):
        score_layers("trace", backbone, random_rows(), rows=24, basis="lm-head")


def test_a_batch_passes_the_model_once_and_its_head_once_however_many_layers_there_are(llama, monkeypatch):
    backbone, _ = llama
    solved, passed = [], []
    monkeypatch.setattr(lm_basis, "semantic_bases", lambda *told: solved.append(told) or semantic_bases(*told))
    monkeypatch.setattr(lm_basis, "load_lm", lambda backbone: counted(load_lm(backbone), passed))
    lm_basis.lm_cosines(backbone, random_rows(), np.arange(2 * lm_basis.BATCH), 0)
    assert len(solved) == 1 and len(passed) == 2 * 2


def counted(model, passed):
    model.base_model.register_forward_pre_hook(lambda *_: passed.append(1))
    return model
