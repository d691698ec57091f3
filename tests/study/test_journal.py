import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from autopeft.base.errors import AutopeftError
from autopeft.study.journal import ReadJournal, WholeLineJournal, written_together
from autopeft.study.ledger import Ledger


def study(path, unsealed=False):
    journal = WholeLineJournal(path, Ledger(path.parent, print), unsealed)
    return optuna.create_study(storage=JournalStorage(journal), study_name="s", load_if_exists=True)


def read(path, unsealed=False):
    storage = JournalStorage(ReadJournal(path, Ledger(path.parent, print), unsealed))
    return optuna.load_study(study_name="s", storage=storage).trials


def test_a_line_cut_short_by_a_kill_is_dropped_and_writing_goes_on(tmp_path):
    path = tmp_path / "journal"
    study(path).add_trial(optuna.trial.create_trial(value=1.0))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code":8,"worker')
    study(path).add_trial(optuna.trial.create_trial(value=2.0))
    assert [t.value for t in study(path).trials] == [1.0, 2.0]


def test_a_lock_that_a_kill_left_is_nothing_to_wait_for(tmp_path):
    """Optuna's own lock held up the next search for half a minute, and on a full disk could not be released."""
    path, lock = tmp_path / "journal", tmp_path / "journal.lock"
    lock.symlink_to(path)
    study(path).add_trial(optuna.trial.create_trial(value=1.0))
    assert lock.is_symlink() and [t.value for t in read(path)] == [1.0]


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
    assert path.read_bytes() == before and not study(path).trials


def test_what_is_written_together_is_one_writing_and_is_read_before(tmp_path, monkeypatch):
    path = tmp_path / "journal"
    opened, flushed = study(path), []
    before = path.read_bytes()
    monkeypatch.setattr("optuna.storages.journal._file.os.fsync", lambda _: flushed.append(1))
    with written_together(opened):
        for value in (1.0, 2.0):
            trial = opened.ask()
            trial.set_user_attr("sizes", (1, 2))
            assert trial.suggest_float("x", 0, 1) == trial.params["x"]
            opened.tell(trial, value)
        assert path.read_bytes() == before and opened.trials[0].user_attrs == {"sizes": [1, 2]}
    assert len(flushed) == 1 and study(path).trials == opened.trials and opened.best_value == 1.0


@pytest.mark.parametrize("fails", ["in between", "at the disk"])
def test_what_is_written_together_is_all_there_or_nothing(tmp_path, monkeypatch, fails):
    """Ctrl-C between two marks of who is promoted, or a disk that was full at the second, left the other trials out."""
    path = tmp_path / "journal"
    opened = study(path)
    trial, before = opened.ask(), path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises((KeyboardInterrupt, OSError)), written_together(opened):
        trial.set_user_attr("promoted", 1)
        if fails == "in between":
            raise KeyboardInterrupt
        trial.set_user_attr("promoted", 2)
        patch.setattr("optuna.storages.journal._file.os.fsync", full)
    assert path.read_bytes() == before and study(path).trials[0].user_attrs == {}


def with_trials(path, number=3):
    opened = study(path)
    for value in range(number):
        opened.add_trial(optuna.trial.create_trial(value=float(value)))
    return path


@pytest.mark.parametrize("place", ["all", "half", "last line", "file"])
def test_a_journal_that_has_lost_its_end_is_refused(tmp_path, place):
    """It was read as a study of fewer trials."""
    path = with_trials(tmp_path / "journal")
    content = path.read_bytes()
    kept = {"all": 0, "half": len(content) // 2, "last line": content[:-1].rfind(b"\n") + 1, "file": 0}[place]
    path.write_bytes(content[:kept])
    if place == "file":
        path.unlink()
    for opened in (study, read):
        with pytest.raises(AutopeftError, match=r"has lost its last \d+ of \d+ lines, and trials with them: restore"):
            opened(path)
        assert path.is_file() == (place != "file")


@pytest.mark.parametrize("line", [0, 1, -1])
def test_a_flipped_bit_or_a_line_that_is_gone_is_refused(tmp_path, line):
    path = with_trials(tmp_path / "journal")
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    changed = bytearray(lines[line])
    changed[len(changed) // 3] ^= 1
    removed = lines[:line] + lines[line + 1 :] if line >= 0 else lines[:-1]
    flipped = lines[:line] + [bytes(changed)] + (lines[line + 1 :] if line >= 0 else [])
    for damaged in (flipped, removed):
        path.write_bytes(b"".join(damaged))
        for opened in (study, read):
            with pytest.raises(AutopeftError, match="is damaged: restore|has lost its last"):
                opened(path)
    path.write_bytes(content)
    assert [t.value for t in read(path)] == [0.0, 1.0, 2.0]


def test_a_journal_of_release_0_1_goes_on_with_checksums(tmp_path):
    path = tmp_path / "journal"
    old = optuna.create_study(storage=JournalStorage(JournalFileBackend(str(path))), study_name="s")
    old.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(AutopeftError, match="Line 1 of .* is damaged"):
        study(path)
    study(path, unsealed=True).add_trial(optuna.trial.create_trial(value=2.0))
    assert [t.value for t in read(path, unsealed=True)] == [1.0, 2.0]
    content = path.read_bytes()
    path.write_bytes(content.replace(b"1.0", b"1.5", 1))
    with pytest.raises(AutopeftError, match="is damaged"):
        read(path, unsealed=True)
