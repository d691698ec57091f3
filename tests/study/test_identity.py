"""Whose trials they are: a study's own wherever its folder lies, and no other study's."""

import shutil

import pytest
from sizes import bert_shapes

from autopeft.base.errors import AutopeftError
from autopeft.objectives import Objectives
from autopeft.study.folder import StudyFolder
from autopeft.study.identity import check_same, new_identity
from autopeft.study.optuna_study import open_study, open_to_read
from autopeft.study.spec import StudySpec

OBJECTIVES = Objectives.of("parameters,metric", "accuracy")


def made(path, spec, data="data", backbone="backbone", **changes):
    """A study folder with one trial."""
    folder = StudyFolder(path)
    folder.create()
    folder.write({**new_identity(spec, data, backbone), "shapes": bert_shapes().to_json(), **changes})
    open_study(folder, spec, OBJECTIVES).ask()
    return folder


def trials(path, spec):
    return len(open_to_read(StudyFolder(path), spec, OBJECTIVES).trials)


@pytest.fixture
def shared(tmp_path):
    return StudySpec(storage=f"sqlite:///{tmp_path}/study.db")


def test_studies_in_folders_of_the_same_name_share_a_storage_and_no_trials(tmp_path, shared):
    """The second study adopted the first one's trials."""
    made(tmp_path / "a" / "study", shared)
    second = made(tmp_path / "b" / "study", shared)
    open_study(second, shared, OBJECTIVES).ask()
    assert (trials(tmp_path / "a" / "study", shared), trials(second.path, shared)) == (1, 2)


@pytest.mark.parametrize("move", [shutil.move, shutil.copytree])
def test_a_folder_keeps_its_trials_under_another_name(tmp_path, move):
    """They were looked for under the folder's new name and none were found."""
    spec = StudySpec()
    made(tmp_path / "old", spec)
    move(tmp_path / "old", tmp_path / "new")
    assert trials(tmp_path / "new", spec) == 1
    assert len(open_study(StudyFolder(tmp_path / "new"), spec, OBJECTIVES).trials) == 1


def test_a_moved_folder_goes_on_in_a_shared_storage(tmp_path, shared):
    made(tmp_path / "old", shared)
    shutil.move(tmp_path / "old", tmp_path / "new")
    for _ in range(2):
        open_study(StudyFolder(tmp_path / "new"), shared, OBJECTIVES).ask()
    assert trials(tmp_path / "new", shared) == 3


def test_a_copy_beside_its_original_is_refused_in_a_shared_storage(tmp_path, shared):
    made(tmp_path / "old", shared)
    shutil.copytree(tmp_path / "old", tmp_path / "copy")
    with pytest.raises(AutopeftError, match="/copy has gone on in .*/old on .* same storage .*: go on there"):
        open_study(StudyFolder(tmp_path / "copy"), shared, OBJECTIVES)
    open_study(StudyFolder(tmp_path / "old"), shared, OBJECTIVES)


def test_of_two_copies_on_two_machines_the_one_that_is_behind_is_refused(tmp_path, shared, monkeypatch):
    made(tmp_path / "old", shared)
    shutil.copytree(tmp_path / "old", tmp_path / "copy")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("socket.gethostname", lambda: "elsewhere")
        open_study(StudyFolder(tmp_path / "copy"), shared, OBJECTIVES).ask()
    with pytest.raises(AutopeftError, match="/old has gone on in .*/copy on elsewhere"):
        open_study(StudyFolder(tmp_path / "old"), shared, OBJECTIVES)


@pytest.mark.parametrize("changed", ["data", "spec", "backbone"])
def test_trials_of_another_study_are_refused(tmp_path, changed):
    spec = StudySpec()
    folder = made(tmp_path / "study", spec)
    stored = folder.read()
    stored["fingerprints"][changed] = "another"
    folder.write(stored)
    for opened in (open_study, open_to_read):
        with pytest.raises(AutopeftError, match=rf"of another study than .* \(another {changed}\): start the study"):
            opened(folder, spec, OBJECTIVES)


def test_a_study_of_release_0_1_is_found_under_its_folders_name(tmp_path):
    spec, folder = StudySpec(), StudyFolder(tmp_path / "study")
    folder.create()
    open_study(folder, spec, OBJECTIVES).ask()
    folder.write({"shapes": bert_shapes().to_json()})
    opened = open_study(folder, spec, OBJECTIVES)
    assert opened.study_name == "study" and len(opened.trials) == trials(folder.path, spec) == 1


def test_reading_writes_nothing_while_another_process_may_be_writing(tmp_path):
    """A reader took the line that was being written for one that a kill had cut short, and cut it off."""
    spec = StudySpec()
    folder = made(tmp_path / "study", spec)
    with folder.journal.open("ab") as file:
        file.write(b'{"op_code":4,"wor')
    before = folder.journal.read_bytes()
    assert trials(folder.path, spec) == 1 and folder.journal.read_bytes() == before


def test_reading_a_folder_without_trials_makes_no_journal(tmp_path):
    spec, folder = StudySpec(), StudyFolder(tmp_path / "study")
    folder.create()
    folder.write(new_identity(spec, "data", "backbone"))
    assert trials(folder.path, spec) == 0 and not folder.journal.exists()


def test_a_folder_of_another_study_is_refused_with_the_difference():
    stored = StudySpec(data="a.csv", trials=3).model_dump()
    check_same(StudySpec(data="a.csv", trials=9, timeout=5), stored, "runs/x")
    with pytest.raises(AutopeftError, match="made with data='a.csv' and this command asks for data='b.csv'"):
        check_same(StudySpec(data="b.csv"), stored, "runs/x")


def test_a_folder_from_before_a_field_existed_is_resumed_at_its_default():
    stored = StudySpec(trials=3).model_dump()
    del stored["pattern"]
    check_same(StudySpec(trials=3), stored, "runs/x")
    with pytest.raises(AutopeftError, match="made with pattern=None"):
        check_same(StudySpec(trials=3, pattern="It was"), stored, "runs/x")
