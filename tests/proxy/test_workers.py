"""Workers inherit no threads: a library that counts on the parent's waits for them forever."""

import os
import subprocess
import sys

import pytest

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.proxy.job import Job, JobResult
from autopeft.proxy.workers import Workers

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


class Poisoned:
    """A trainer that some seeds make raise, as often as said."""

    def __init__(self, folder, times):
        self.folder, self.times = folder, times

    def run(self, pack):
        (job,) = pack
        log = self.folder / str(job.seed)
        tries = log.stat().st_size if log.is_file() else 0
        log.write_bytes(b"x" * (tries + 1))
        if tries < self.times.get(job.seed, 0):
            raise RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED\nwhen calling cublasSgemm")
        return [JobResult(None, failure="trained")]


@pytest.mark.parametrize(
    "workers", [1, pytest.param(2, marks=pytest.mark.skipif(sys.platform != "linux", reason="forked"))]
)
def test_whatever_a_job_raises_is_its_own_failure_after_two_attempts(tmp_path, workers):
    """A CUBLAS error ended a search, and every resume of it."""
    pool = Workers(Poisoned(tmp_path, {1: 1, 2: 5}), workers)
    own = Configuration.of("head_only", {}, (), 1e-3)
    try:
        found = dict(pool.run([Job(own, seed, 1, 1) for seed in range(4)]))
    finally:
        pool.close()
    failed = "RuntimeError: CUBLAS_STATUS_EXECUTION_FAILED"
    assert [found[seed].failure for seed in range(4)] == ["trained", "trained", failed, "trained"]
    assert [(tmp_path / str(seed)).stat().st_size for seed in range(4)] == [1, 2, 2, 1]


def test_what_makes_no_sense_is_said_once(tmp_path):
    class Refuses:
        def run(self, pack):
            raise AutopeftError("There is nothing to measure against.")

    with pytest.raises(AutopeftError, match="nothing to measure"):
        list(Workers(Refuses()).run([Job(Configuration.of("head_only", {}, (), 1e-3), 0, 1, 1)]))
