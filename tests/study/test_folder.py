import errno
import os

import pytest
from sizes import bert_shapes

from autopeft.base.errors import AutopeftError
from autopeft.base.files import write_whole
from autopeft.configuration import Configuration
from autopeft.executor.stored import Stored
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


@pytest.mark.parametrize("place", [0, 70, -1])
def test_a_damaged_state_is_told_and_not_used(tmp_path, place):
    """One flipped bit in it went into the trial's training and changed who was promoted."""
    notes = []
    folder = StudyFolder(tmp_path, notes.append)
    Stored.write(folder.state_path(3, 8, 1e-3), bytes(range(256)))
    assert folder.state(3, 8, 1e-3).read() == bytes(range(256)) and not notes
    assert folder.state(4, 8, 1e-3) is None and "trial-4-8-0.001.state is missing: trial 4 is trained" in notes.pop()
    (path,) = (tmp_path / "states").iterdir()
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert folder.state(3, 8, 1e-3) is None
    assert notes == [f"{path} is damaged: trial 3 is trained again from the beginning."]


def with_runs(tmp_path, damage):
    """(folder, notes) with three runs in lines that `damage` changes."""
    notes = []
    folder = StudyFolder(tmp_path, notes.append)
    for _ in range(3):
        folder.add_run("trial 3", "finalist", LORA, 99, {"parameters": 99}, CURVE)
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(b"\n".join(damage(path.read_bytes().splitlines())))
    return folder, notes


@pytest.mark.parametrize("last", [b'{"name": "tri', b"\xff\x00", b"[]", b'{"name": "trial 3"}'])
def test_a_torn_last_line_is_dropped_with_one_note(tmp_path, last):
    """It ended in a traceback, and the study could not go on."""
    folder, notes = with_runs(tmp_path, lambda lines: [*lines[:-1], last])
    folder.mend_runs()
    assert notes == [f"The last line of {tmp_path}/outcomes.jsonl is damaged: that run is left out."]
    folder.add_run("trial 3", "finalist", LORA, 99, {"parameters": 99}, CURVE)
    assert len(folder.runs()) == 3 and len(notes) == 1


def test_a_damaged_line_in_the_middle_is_one_sentence(tmp_path):
    folder, _ = with_runs(tmp_path, lambda lines: [lines[0], lines[1][:40], lines[2]])
    with pytest.raises(AutopeftError, match="Line 2 of .*outcomes.jsonl is damaged: restore the file, or delete it"):
        folder.runs()


def test_a_last_line_without_its_line_break_is_whole(tmp_path):
    folder, notes = with_runs(tmp_path, lambda lines: lines)
    assert len(folder.runs()) == 3 and not notes


def test_runs_that_are_lost_are_said_once(tmp_path):
    folder, notes = with_runs(tmp_path, lambda lines: lines)
    (tmp_path / "outcomes.jsonl").unlink()
    folder.mend_runs()
    assert folder.runs() == [] and folder.runs() == []
    assert notes == [f"{tmp_path}/outcomes.jsonl has lost its last 3 of 3 runs: the same search trains them again."]
