"""SIGTERM, as a scheduler sends it: everything is kept, the report is written, and the exit code asks for another start."""

import json
import signal
import subprocess
import sys

import pytest
from small_search import SMALL, autopeft

COMMAND = ["search", *SMALL, "--trials", "2", "--rates", "1", "--no-ceiling", "--space", "lora", "--workers", "2"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM")
@pytest.mark.parametrize("after", ["[1/2]", "uniform LoRA, seed"])
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
