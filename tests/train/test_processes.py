"""Two processes on one model: each takes half of every step's rows, and both end with the weights of one process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from full_study import complete, made_study, trained_as
from safetensors.torch import load_file

from autopeft.train.processes import Processes
from autopeft.train.training import FullTraining

TESTS = Path(__file__).parents[1]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
EACH = """
import sys
import torch
from full_study import resident
from autopeft.base.progress import Progress
from autopeft.train.full import FullTrainer
from autopeft.train.training import FullTraining
from autopeft.train.processes import together
from autopeft.train.work import WorkFolder

class Kept(FullTrainer):
    def _session(self, *arguments):
        self.session = super()._session(*arguments)
        return self.session

study, folder = sys.argv[1:]
training = FullTraining.of(study, 0, folder)
with together() as processes:
    trainer, work = Kept(*resident(), training.batch_size, packing=False), WorkFolder(training.work)
    trainer.complete(training, work, work.begin(training, processes), processes, Progress(quiet=True))
    weights = {n: p.detach() for n, p in trainer.session.run.parameters.items()}
    torch.save(weights, f"{folder}-rank-{processes.rank}.pt")
"""


def test_the_parts_of_all_processes_are_the_batch():
    rows = np.arange(7)
    taken = [part for rank in range(3) for part in Processes(rank, 3).parts(rows, 2)]
    assert sorted(np.concatenate(taken)) == list(rows)
    assert not Processes(2, 3).parts(rows[:2], 1) and list(Processes().parts(rows, 1)[0]) == list(rows)


def launched(launch, *arguments):
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, *map(str, arguments)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.cluster
def test_two_processes_end_with_the_weights_of_one(tmp_path):
    study = made_study(tmp_path / "study", trained_as("lora"))
    (tmp_path / "each.py").write_text(EACH)
    launched(TORCHRUN, tmp_path / "each.py", study, tmp_path / "both")
    first, second = (torch.load(tmp_path / f"both-rank-{rank}.pt") for rank in range(2))
    assert first.keys() == second.keys() and all(torch.equal(second[n], p) for n, p in first.items())
    _, alone = complete(FullTraining.of(study, 0, tmp_path / "alone"))
    (together,) = (tmp_path / "both.unfinished").glob("adapter-*")
    one, two = (load_file(folder / "adapter_model.safetensors") for folder in (alone, together))
    assert max((one[n] - t).abs().max() for n, t in two.items()) < 1e-4
    _, half = complete(FullTraining.of(study, 0, tmp_path / "half", batch_size=8))
    other = load_file(half / "adapter_model.safetensors")
    assert max((other[n] - t).abs().max() for n, t in two.items()) > 1e-3


@pytest.mark.cluster
def test_the_command_under_accelerate_launch_writes_and_prints_once(tmp_path):
    study, out = made_study(tmp_path / "study", trained_as("lora")), tmp_path / "adapter"
    arguments = ["--steps", 4, "--eval-every", 2, "--patience", 3, "--json", "--out", out]
    printed = json.loads(
        launched([*ACCELERATE, "--main_process_port", "0"], "-m", "autopeft", "train", study, *arguments)
    )
    assert printed["processes"] == 2 and printed == json.loads((out / "scores.json").read_text())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter", "study"]
