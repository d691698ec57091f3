"""Every method learns on a real checkpoint: MiniLM-L6 and 8 short texts."""

from types import SimpleNamespace

import pytest
import torch
from contract_cases import METHODS, attached, default
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from autopeft.backbone.blocks import describe
from autopeft.methods import REGISTRY, count, refusal
from autopeft.methods.mechanisms.attach import count_built, trainable_parameters

SUBJECTS = ("The film", "Our guide")
VERDICTS = (
    ("was a joy from start to finish", 1),
    ("bored me to tears", 0),
    ("is warm, funny and wise", 1),
    ("was a dull and lazy mess", 0),
)
STEPS = 30


@pytest.fixture(scope="module")
def resident(minilm):
    state = torch.get_rng_state()
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(minilm, num_labels=2).eval().requires_grad_(False)
    torch.set_rng_state(state)
    return SimpleNamespace(
        model=model, shapes=describe(model, "minilm-l6"), new_parameters=("classifier.weight", "classifier.bias")
    )


@pytest.fixture(scope="module")
def batch(minilm):
    texts, labels = zip(*[(f"{subject} {verdict}.", label) for subject in SUBJECTS for verdict, label in VERDICTS])
    tokens = AutoTokenizer.from_pretrained(minilm)(list(texts), padding=True, return_tensors="pt")
    return {**tokens, "labels": torch.tensor(labels)}


@pytest.mark.parametrize("method", METHODS)
def test_learns_a_real_batch(method, resident, batch):
    if why := refusal(method, resident.shapes):
        pytest.skip(why)
    configuration = default(method, resident.shapes.num_layers)
    low, high = REGISTRY[method].learning_rate
    with attached(configuration, resident, seed=0) as model:
        assert count_built(model, resident.shapes.head_modules) == count(configuration, resident.shapes)
        optimiser = torch.optim.Adam([p for _, p in trainable_parameters(model)], lr=(low * high) ** 0.5)
        losses = []
        for _ in range(STEPS):
            loss = model(**batch).loss
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0], losses
