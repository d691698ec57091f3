"""SIGTERM, as a scheduler sends it: everything is kept, the report is written, and the exit code asks for another start."""

import json
import signal
import subprocess
import sys
import time

import pytest
from small_search import SHORTEST, SMALL, answer, autopeft

from autopeft import Result

COMMAND = ["search", *SMALL, "--trials", "2", "--rates", "1", "--no-ceiling", "--space", "lora", "--workers", "2"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM")
@pytest.mark.parametrize("after", ["[1/2]", pytest.param("uniform LoRA, seed", marks=pytest.mark.slow)])
def test_a_terminated_search_is_gone_on_with(tmp_path, after):
    command = [*COMMAND, "--out", str(tmp_path / "study")]
    running = subprocess.Popen([sys.executable, "-m", "autopeft", *command], stderr=subprocess.PIPE, text=True)
    for line in running.stderr:
        if after in line:
            running.send_signal(signal.SIGTERM)
            break
    left = running.stderr.read()
    assert running.wait() == 75 and "Traceback" not in left and "Run the same command again" in left
    assert (tmp_path / "study" / "report.html").is_file()
    before = (tmp_path / "study" / "outcomes.jsonl").read_text().splitlines() if "seed" in after else []
    resumed = json.loads(autopeft(*command, "--json").stdout)
    assert (
        resumed["front"] and (tmp_path / "study" / "outcomes.jsonl").read_text().splitlines()[: len(before)] == before
    )


def terminated(command, after) -> tuple[int, float]:
    """A search that gets SIGTERM when it says something: its exit code, and the seconds until it ended."""
    running = subprocess.Popen([sys.executable, "-m", "autopeft", *command], stderr=subprocess.PIPE, text=True)
    for line in running.stderr:
        if after in line:
            running.send_signal(signal.SIGTERM)
            break
    began = time.monotonic()
    running.stderr.read()
    return running.wait(), time.monotonic() - began


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM")
def test_a_terminated_search_comes_to_what_an_undisturbed_one_does(tmp_path):
    """Among the trials and in the full-length stage, in one process and in several."""
    short = [*SHORTEST, "--trials", "2", "--space", "lora"]
    autopeft(*short, "--workers", "1", "--out", tmp_path / "whole")
    for workers in ("1", "2"):
        command = [*short, "--workers", workers, "--out", str(tmp_path / workers)]
        for after in ("[1/2]", "uniform LoRA, seed"):
            code, seconds = terminated(command, after)
            assert code == 75 and (tmp_path / workers / "report.html").is_file()
            print(f"{workers} workers, after {after!r}: ended {seconds:.1f} s after SIGTERM")
        autopeft(*command)
        assert answer(Result.open(tmp_path / workers)) == answer(Result.open(tmp_path / "whole"))
