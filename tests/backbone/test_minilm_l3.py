"""MiniLM-L3 is read from an ONNX file: what comes out is the model that lies in it."""

import pytest
import torch
from transformers import AutoTokenizer, BertModel

from autopeft.backbone.loading import load_backbone
from autopeft.backbone.resolve import resolve
from autopeft.backbone.sizes import shapes_of

GUITAR = "A man is playing a guitar."
# The first of its 384 mean-pooled numbers, as onnxruntime 1.32 computes them from the file itself.
FROM_ONNXRUNTIME = [-0.4558678, -0.0575589, 0.0428771, 0.0832595, 0.2925233, -0.1469968, 0.0520741, 0.1123515]


@pytest.fixture(scope="module")
def loaded() -> tuple[BertModel, dict]:
    """The model without a pooler, and what transformers says of the loading."""
    return BertModel.from_pretrained(resolve("minilm-l3"), add_pooling_layer=False, output_loading_info=True)


@torch.no_grad()
def embeddings(model: BertModel, sentences: list[str]) -> torch.Tensor:
    tokenizer = AutoTokenizer.from_pretrained(resolve("minilm-l3"))
    batch = tokenizer(sentences, padding=True, return_tensors="pt")
    mask = batch["attention_mask"].unsqueeze(-1)
    return (model.eval()(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)


def test_the_file_fills_every_parameter_and_nothing_is_left(loaded):
    model, info = loaded
    assert not any(info.values())
    assert model.config.num_hidden_layers == 3 and sum(p.numel() for p in model.parameters()) == 17_241_984


def test_it_computes_what_the_onnx_graph_does(loaded):
    vector = embeddings(loaded[0], [GUITAR])[0, : len(FROM_ONNXRUNTIME)]
    torch.testing.assert_close(vector, torch.tensor(FROM_ONNXRUNTIME), atol=1e-4, rtol=0)


def test_paraphrases_are_closer_than_unrelated_sentences(loaded):
    sentences = [GUITAR, "Someone plays the guitar.", "How do I bake bread?", "What is the recipe for home-made bread?"]
    unit = torch.nn.functional.normalize(embeddings(loaded[0], sentences), dim=1)
    cosine = unit @ unit.T
    assert min(cosine[0, 1], cosine[2, 3]) > 0.5 > 0.2 > cosine[:2, 2:].max()


def test_as_a_backbone_its_pooler_is_new():
    """The exporter left out the pooler, which sentence embeddings do not use."""
    backbone = load_backbone("minilm-l3", 2)
    assert (backbone.shapes.num_layers, backbone.shapes.backbone_parameters) == (3, 17_241_984)
    pooler = {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}
    assert set(backbone.new_parameters) == pooler | {"classifier.weight", "classifier.bias"}
    assert shapes_of("minilm-l3").to_json() == backbone.shapes.to_json()
