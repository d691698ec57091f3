"""Checkpoints that cannot be used end in one sentence."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from tiny import tiny_model

from autopeft.backbone.loading import load_backbone
from autopeft.backbone.sizes import shapes_of
from autopeft.base.errors import AutopeftError


@pytest.fixture
def checkpoint(tmp_path, minilm):
    """A tiny BERT with MiniLM's tokenizer beside it."""
    tiny_model("bert").save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        shutil.copy(Path(minilm) / name, tmp_path)
    return tmp_path


def refused(folder, sentence):
    with pytest.raises(AutopeftError, match=sentence) as raised:
        load_backbone(str(folder), 3)
    assert "\n" not in str(raised.value)


def test_a_whole_checkpoint_loads(checkpoint):
    backbone = load_backbone(str(checkpoint), 3)
    assert backbone.new_parameters == () and backbone.model.config.pad_token_id == backbone.tokenizer.pad_token_id


def test_the_head_is_drawn_alike_every_time(checkpoint):
    one, other = (load_backbone(str(checkpoint), 5) for _ in range(2))
    assert torch.equal(one.model.classifier.weight, other.model.classifier.weight)
    assert one.new_parameters == ("classifier.bias", "classifier.weight")  # the checkpoint's head is for 3 classes


def test_a_truncated_checkpoint(checkpoint):
    file = checkpoint / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-200])
    refused(checkpoint, "truncated")


def test_a_checkpoint_without_its_backbone(checkpoint):
    from safetensors.torch import load_file, save_file

    file = checkpoint / "model.safetensors"
    save_file({k: v for k, v in load_file(file).items() if "layer.1." not in k}, file, metadata={"format": "pt"})
    refused(checkpoint, "lacks .* weights of the backbone")


def test_a_pickle_is_not_opened(checkpoint):
    (checkpoint / "model.safetensors").unlink()
    torch.save({}, checkpoint / "pytorch_model.bin")
    refused(checkpoint, "pickle.*safetensors first")


def test_no_weights_at_all(checkpoint):
    (checkpoint / "model.safetensors").unlink()
    refused(checkpoint, "cannot be read")


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("{", "damaged"),
        (json.dumps({"model_type": "no-such-thing"}), "no known architecture"),
        ("{}", "no known architecture"),
    ],
)
def test_a_config_that_is_none(checkpoint, text, sentence):
    (checkpoint / "config.json").write_text(text)
    refused(checkpoint, sentence)


def test_a_folder_that_is_no_model(tmp_path):
    refused(tmp_path, "no config.json")


def test_a_file_and_a_missing_path(tmp_path):
    (tmp_path / "model").write_text("x")
    refused(tmp_path / "model", "not a folder")
    refused(tmp_path / "none", "not a folder")


def test_a_hub_name_out_of_reach():
    refused("nobody/no-such-model-here", "no hub that has it can be reached")


def test_a_misspelt_builtin():
    refused("minilm-l7", "Did you mean 'minilm-l6'")


def test_an_architecture_that_classifies_nothing(tmp_path):
    from transformers import AutoConfig

    AutoConfig.for_model("wav2vec2").save_pretrained(tmp_path)
    with pytest.raises(AutopeftError, match="cannot use for text classification"):
        shapes_of(str(tmp_path))


@pytest.mark.parametrize("end", ["</s>", None])
def test_a_tokenizer_without_padding_pads_with_its_end_or_is_refused(tmp_path, end):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<unk>": 0, "</s>": 1, "film": 2}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", **({"eos_token": end} if end else {})
    ).save_pretrained(tmp_path)
    tiny_model("llama").save_pretrained(tmp_path)
    if end is None:
        return refused(tmp_path, "neither a padding token nor an end token")
    backbone = load_backbone(str(tmp_path), 3)
    assert backbone.tokenizer.pad_token == end and backbone.model.config.pad_token_id == 1
