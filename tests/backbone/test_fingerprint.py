"""Which weights a model has: other values, files or configs are another model; another place or writer is not."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from autopeft.backbone.fingerprint import backbone_fingerprint


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "transformers_version": "5.0"}))
    save_file({"a": torch.arange(100.0), "b": torch.zeros(3, 4)}, folder / "model.safetensors")
    (folder / "older.bin").write_bytes(bytes(10_000))
    return folder


def test_another_place_or_writer_is_the_same_model(model, tmp_path):
    before = backbone_fingerprint(str(model))
    shutil.copytree(model, tmp_path / "copy")
    (tmp_path / "copy" / "config.json").write_text('{"transformers_version": "5.1", "model_type": "bert"}')
    assert backbone_fingerprint(str(tmp_path / "copy")) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: save_file(
            {"a": torch.arange(100.0) + 1e-3, "b": torch.zeros(3, 4)}, folder / "model.safetensors"
        ),
        lambda folder: save_file({"a": torch.arange(100.0), "b": torch.ones(3, 4)}, folder / "model.safetensors"),
        lambda folder: save_file({"a": torch.arange(100.0), "c": torch.zeros(3, 4)}, folder / "model.safetensors"),
        lambda folder: (folder / "older.bin").write_bytes(bytes(5_000) + b"x" * 5_000),
        lambda folder: (folder / "config.json").write_text('{"model_type": "roberta"}'),
    ],
)
def test_other_weights_or_another_config_are_another_model(model, change):
    before = backbone_fingerprint(str(model))
    change(model)
    assert backbone_fingerprint(str(model)) != before


def test_a_hub_name_without_files_is_its_own_fingerprint():
    assert backbone_fingerprint("someone/nothing") != backbone_fingerprint("someone/else")
