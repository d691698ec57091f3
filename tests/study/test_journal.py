import optuna
import pytest
from optuna.storages import JournalStorage

from autopeft.study.journal import WholeLineJournal


def study(path):
    return optuna.create_study(storage=JournalStorage(WholeLineJournal(str(path))), study_name="s", load_if_exists=True)


def test_a_line_cut_short_by_a_kill_is_dropped_and_writing_goes_on(tmp_path):
    path = tmp_path / "journal"
    study(path).add_trial(optuna.trial.create_trial(value=1.0))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code":8,"worker')
    study(path).add_trial(optuna.trial.create_trial(value=2.0))
    assert [t.value for t in study(path).trials] == [1.0, 2.0]


def test_a_write_that_fails_half_way_is_taken_back(tmp_path, monkeypatch):
    path = tmp_path / "journal"
    opened = study(path)
    before = path.read_bytes()

    def full(_):
        path.open("ab").write(b"half a li")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("optuna.storages.journal._file.os.fsync", full)
        with pytest.raises(OSError):
            opened.add_trial(optuna.trial.create_trial(value=1.0))
    assert path.read_bytes().startswith(before) and path.read_bytes().endswith(b"\n")
    assert study(path).trials is not None
