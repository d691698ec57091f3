"""What is refused before a stored study is resumed, and what may change."""

import shutil

import pytest
from safetensors.torch import load_file, save_file

from autopeft.base.errors import AutopeftError
from autopeft.prepare import prepare
from autopeft.study.folder import StudyFolder
from autopeft.study.spec import StudySpec
from autopeft.workbench import facts, stored_study


@pytest.fixture
def model(tmp_path, minilm):
    folder = tmp_path / "model"
    shutil.copytree(minilm, folder)
    return folder


def test_a_study_whose_model_was_trained_further_is_refused(model, tmp_path):
    """Trials of other weights were adopted."""
    spec = StudySpec(model=str(model), train_rows=40, validation_rows=20, test_rows=20)
    prepared, folder = prepare(spec), StudyFolder(tmp_path / "study")
    folder.create()
    folder.write(facts(prepared, {}))
    assert stored_study(prepared, folder)["spec"]["model"] == str(model)
    weights = load_file(model / "model.safetensors")
    changed = {name: x + 1e-3 if x.is_floating_point() else x for name, x in weights.items()}
    save_file(changed, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(AutopeftError, match="made with another backbone than .*model holds now"):
        stored_study(prepared, folder)
