import errno
import os

import pytest
from sizes import bert_shapes

from autopeft.base.errors import AutopeftError
from autopeft.base.files import write_whole
from autopeft.configuration import Configuration
from autopeft.proxy.curve import Curve
from autopeft.study.folder import StudyFolder

CURVE = Curve(0, (5, 10), (0.7, 0.6), (0.65, 0.6), (0.5, 0.75), 1.5, 100, 0.7, 0.62)
LORA = Configuration.of("lora", {"rank": 4}, (1, 2), 1e-3)


def test_what_is_written_is_read(tmp_path):
    folder = StudyFolder(tmp_path)
    folder.write({"shapes": bert_shapes().to_json()})
    assert folder.shapes() == bert_shapes()
    for _ in range(2):
        folder.add_run("trial 3", "finalist", LORA, 99, {"parameters": 99}, CURVE)
    folder.add_run("uniform LoRA", "tuning", LORA, 99, {"parameters": 99}, CURVE)
    (outcome,) = folder.outcomes()
    assert outcome.configuration == LORA and outcome.curves == (CURVE, CURVE) and outcome.test_scores == (0.7, 0.7)


@pytest.mark.parametrize(
    "text, sentence", [(None, "holds no study"), ("{", "damaged"), ('{"format": 99}', "another version")]
)
def test_a_folder_that_is_no_study_is_one_sentence(tmp_path, text, sentence):
    if text:
        (tmp_path / "study.json").write_text(text)
    with pytest.raises(AutopeftError, match=sentence):
        StudyFolder(tmp_path).read()


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "study.json"
    write_whole(path, "old")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AutopeftError, match="No space left on device.*free some space"):
        write_whole(path, "new")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["study.json"]


def test_a_study_of_another_version_is_one_sentence(tmp_path):
    """It ended in a traceback."""
    from autopeft.result import Result
    from autopeft.study.spec import StudySpec

    folder = StudyFolder(tmp_path / "study")
    folder.create()
    folder.write({"spec": {**StudySpec().model_dump(), "proxy_steps": 3}})
    with pytest.raises(AutopeftError, match="Unknown key 'proxy_steps' in the study in"):
        Result.open(folder.path)
