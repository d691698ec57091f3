"""A real search of three objectives, one of them measured, within a limit: killed once, resumed, reported."""

import json
import signal
import subprocess
import sys

import pytest
from small_search import SMALL, autopeft

ONE_SEED = [*SMALL, "--seeds", "1", "--space", "lora", "--trials", "4", "--no-ceiling"]
ASKED = ("--objectives", "step-time,train-memory,accuracy", "--limit", "train-flops=0.8x")
NAMES = ["step-time", "train-memory", "accuracy"]


@pytest.mark.slow
def test_a_search_of_three_objectives_survives_a_kill_and_keeps_to_its_limit(tmp_path):
    from autopeft import Result

    folder = tmp_path / "study"
    command = [sys.executable, "-m", "autopeft", "search", *ONE_SEED, *ASKED, "--out", str(folder)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    for line in running.stderr:
        if line.startswith("[2/4]"):
            running.send_signal(signal.SIGKILL)
            break
    running.wait()
    begun = {t.number: t.curve for t in Result.open(folder).data.trials if t.state in ("complete", "pruned")}
    assert len(begun) == 2
    autopeft(*command[3:])

    data = Result.open(folder).data
    trials = [t for t in data.trials if t.state in ("complete", "pruned")]
    assert len(trials) == 4 and {t.number: t.curve for t in trials if t.number in begun} == begun
    assert all(0.1 < t.curve.measured["step-time"] < 10 for t in trials)
    assert all(0 < t.counted["train-flops"] <= data.limits["train-flops"] for t in trials)

    told = json.loads(autopeft("report", folder, "--json").stdout)
    assert [o["name"] for o in told["objectives"]] == NAMES and told["verdict"] and told["front"]
    assert set(told["limits"]) == {"parameters", "train-flops"}
    assert all(isinstance(row[name], float) for row in told["front"] for name in NAMES)
    assert {"report.html", "front.csv", "trials.csv"} <= {p.name for p in folder.iterdir()}
