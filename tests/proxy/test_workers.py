"""Workers inherit no threads: a library that counts on the parent's waits for them forever."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sklearn.utils  # before torch: it counts the threads of its own OpenMP and, later, starts them in torch's
import torch
from autopeft.backbone.loading import load_backbone
from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.proxy.job import Job
from autopeft.proxy.trainer import Trainer
from autopeft.proxy.workers import Workers
from autopeft.tasks import load_task
from autopeft.tasks.tokens import tokenise

torch.set_num_threads(2)
backbone = load_backbone("minilm-l6", 2)
task = load_task("rotten-tomatoes", train_rows=96, validation_rows=48, test_rows=16)
trainer = Trainer(backbone, tokenise(task, backbone.tokenizer, 32), 8)
own = Configuration.of("adamss", get_method("adamss").defaults, (5,), 1e-3)
trainer.seconds_per_step(Job(Configuration.of("head_only", {}, (), 1e-3), 0, 1, 1))  # torch's threads of the parent
pool = Workers(trainer, 2)
found = dict(pool.run([Job(own, seed, 1, 1) for seed in (0, 1)]))
pool.close()
print(sorted(found), [done.failure for done in found.values()])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_adamss_which_clusters_by_scikit_learn_ends_in_a_worker():
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    run = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == "[0, 1] [None, None]", run.stderr


HALF_A_RESULT = """
import os, struct, sys, time
from autopeft.proxy.workers import Workers

def write(pipe):
    frame = sys._getframe()
    while "result_queue" not in frame.f_locals:
        frame = frame.f_back
    os.write(frame.f_locals["result_queue"]._writer.fileno(), struct.pack("!i", 1000) + b"x")
    os.write(pipe, b"x")
    time.sleep(600)

read, pipe = os.pipe()
workers = Workers(None, 2)
workers.pool().submit(write, pipe)
os.read(read, 1)
time.sleep(0.5)  # until it is being read
workers.close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_a_result_that_a_killed_worker_had_half_written_is_not_waited_for():
    """After Ctrl-C a search wrote its report and then never ended."""
    assert subprocess.run([sys.executable, "-c", HALF_A_RESULT], timeout=60).returncode == 0
