"""One writer: another process is refused at once and told who writes; a killed process and its workers release the lock."""

import os
import signal
import subprocess
import sys
import time

import pytest
from full_study import made_study, trained_as

import autopeft
from autopeft.base.errors import AutopeftError
from autopeft.base.lock import one_writer
from autopeft.base.progress import Progress
from autopeft.tabular.build import build_benchmark
from autopeft.train.training import FullTraining

HOLD = """
import os, sys, time
from pathlib import Path
from autopeft.base.lock import one_writer
with one_writer(Path(sys.argv[1]), "The study in x"):
    if sys.argv[2] == "alone" or os.fork() == 0:
        print("held", flush=True)
    time.sleep(20)
    os._exit(0)
"""


def holding(lock, *arguments):
    """A process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(lock), *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("forks", ["alone", "fork"])
def test_a_second_writer_is_refused_until_the_first_is_killed(tmp_path, forks):
    lock = tmp_path / "study" / "writer.lock"
    process = holding(lock, forks)
    with (
        pytest.raises(AutopeftError, match=f"The study in x is being written by process {process.pid} on .*: wait"),
        one_writer(lock, "The study in x"),
    ):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    with one_writer(lock, "The study in x"):
        assert str(os.getpid()) in lock.read_text()
    assert list(lock.parent.iterdir()) == []


def test_a_folder_that_holds_something_stays_and_only_the_lock_goes(tmp_path):
    folder = tmp_path / "new" / "study"
    with one_writer(folder / "writer.lock", "x"):
        (folder / "study.json").write_text("{}")
    assert [p.name for p in folder.iterdir()] == ["study.json"]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(AutopeftError, match="file cannot be made or written .*choose another place with --out"),
        one_writer(tmp_path / "file" / "writer.lock", "x"),
    ):
        pass


def test_a_search_on_a_folder_that_is_being_written_ends_before_anything_is_loaded(tmp_path):
    """Trials were taken over and outcomes doubled."""
    process = holding(tmp_path / "study" / "writer.lock", "alone")
    began = time.monotonic()
    command = [sys.executable, "-m", "autopeft", "search", "--data", "/no/such/data", "--out", str(tmp_path / "study")]
    done = subprocess.run(command, capture_output=True, text=True)
    process.kill()
    process.wait()
    assert done.returncode == 2 and f"process {process.pid} on" in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1 and time.monotonic() - began < 20


def test_a_benchmark_that_is_being_built_is_left_alone(tmp_path):
    path = tmp_path / "rows.csv"
    process = holding(path.with_suffix(".lock"), "alone")
    with pytest.raises(AutopeftError, match=f"The benchmark .*rows.csv is being written by process {process.pid} on"):
        build_benchmark(None, path, 2, Progress(quiet=True))  # nothing of the study is looked at before
    process.kill()
    process.wait()
    assert not path.exists()


def test_an_adapter_that_is_being_trained_is_left_alone(tmp_path):
    study = made_study(tmp_path / "study", trained_as("ia3"))
    training = FullTraining.of(study, "0", tmp_path / "adapter", steps=2)
    process = holding(training.work.with_name(f"{training.work.name}.lock"), "alone")
    with pytest.raises(AutopeftError, match=f"The adapter in .* is being written by process {process.pid} on"):
        autopeft.train(study, "0", tmp_path / "adapter", steps=2)
    process.kill()
    process.wait()
    assert not (tmp_path / "adapter").exists()
