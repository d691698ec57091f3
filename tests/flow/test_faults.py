"""Small real searches on a machine that does what it should not: processes are killed, clocks jump, memory runs out."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks import faults
from small_search import SHORTEST, answer, autopeft

from autopeft import Result

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="limits and kills of POSIX")]
FAULTY = str(Path(__file__).parents[1] / "faulty")
COMMAND = [*SHORTEST, "--trials", "2", "--quiet"]


def faulty(**faults) -> dict[str, str]:
    """An environment with faults, which worker processes have too."""
    paths = os.pathsep.join(filter(None, [FAULTY, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": paths, **{f"FAULT_{name.upper()}": value for name, value in faults.items()}}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults") / "whole"
    autopeft(*COMMAND, "--workers", "1", "--out", folder)
    return answer(Result.open(folder))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_clock_that_jumps_by_hours_changes_nothing(undisturbed, tmp_path, workers):
    autopeft(*COMMAND, "--workers", workers, "--out", tmp_path / "study", env=faulty(clock="3"))
    assert answer(Result.open(tmp_path / "study")) == undisturbed


def test_a_search_with_a_time_ends_with_an_answer_on_a_clock_that_jumps(tmp_path):
    """Hours ahead its time is over, hours back it is not longer."""
    command = [*COMMAND, "--workers", "2", "--time", "1h", "--out", tmp_path / "study"]
    autopeft(*command, env=faulty(clock="20"))
    result = Result.open(tmp_path / "study")
    assert result.front.points and result.data.complete and 0 <= result.data.environment["wall_seconds"] < 100 * 3600


def test_a_method_for_which_there_is_no_memory_fails_and_the_study_goes_on(tmp_path):
    command = [*COMMAND, "--trials", "4", "--workers", "2", "--space", "basic", "--out", tmp_path / "study"]
    autopeft(*command, env=faulty(memory="lora"))
    trials = Result.open(tmp_path / "study").data.trials
    failed = [t for t in trials if t.configuration.method == "lora"]
    assert failed and {t.state for t in failed} == {"failed"} and all("memory" in t.reason for t in failed)
    assert all(t.state in ("complete", "pruned") for t in trials if t.configuration.method != "lora")


def test_a_second_search_on_the_same_study_is_refused_and_the_first_goes_on(undisturbed, tmp_path):
    command = [*COMMAND, "--workers", "1", "--out", tmp_path / "study"]
    first = subprocess.Popen([sys.executable, "-m", "autopeft", *map(str, command)], stderr=subprocess.PIPE, text=True)
    while first.poll() is None and not (tmp_path / "study" / "trials.journal").is_file():
        time.sleep(0.1)
    refused = autopeft(*command, check=2).stderr
    assert f"is being written by process {first.pid} on" in refused and refused.count("\n") == 1
    assert first.wait() == 0, first.stderr.read()
    assert answer(Result.open(tmp_path / "study")) == undisturbed


@pytest.mark.parametrize("what", ["driver", "worker"])
def test_kills_lose_nothing_and_do_nothing_twice(tmp_path, what, monkeypatch):
    """Two of each; `tests/benchmarks/faults.py` does fifty."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    faults.run(tmp_path, "local", what, 2)
    tally = faults.Tally.of(what, "local", tmp_path)
    assert tally.kills == 2 and (tally.lost, tally.doubled, tally.different) == (0, 0, 0)
    assert tally.most_seconds < 2 * 10, "one checkpoint interval, on a machine that is busy"
