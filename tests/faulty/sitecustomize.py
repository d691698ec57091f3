"""Faults that a process has from its start on where this folder is on its PYTHONPATH; environment variables say which.

FAULT_STEPS=FOLDER      every step that is trained is written down: FOLDER/PROCESS has "attempt step when what" per line
FAULT_PAUSE=SECONDS     after each step
FAULT_CLOCK=SECONDS     after which, again and again, `time.time` and `time.monotonic` jump by hours, forth and back
FAULT_MEMORY=METHOD     a worker that trains it cannot have a megabyte more than it has
"""

import hashlib
import importlib.util
import os
import sys
import time
from dataclasses import replace
from importlib.abc import MetaPathFinder

ATTEMPT = [1]  # of the pack that this process is at


class AfterImport(MetaPathFinder):
    """Changes modules once they are imported.

    Args:
        changes: module -> what is called with it.
    """

    def __init__(self, changes):
        self.changes = changes

    def find_spec(self, name, path=None, target=None):
        if name not in self.changes:
            return None
        change = self.changes.pop(name)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def executed(module):
            execute(module)
            change(module)

        spec.loader.exec_module = executed
        return spec


def note_attempts(work):
    """Of autopeft.executor.work."""
    do = work.do

    def noted(trainer, pack):
        ATTEMPT[0] = pack.attempt
        return do(trainer, pack)

    work.do = noted


def note_steps(run):
    """Of autopeft.proxy.run: a run is known by its configuration, seed and stage."""
    learn, pause = run.Run.learn, float(os.environ.get("FAULT_PAUSE", 0))
    path = os.path.join(os.environ["FAULT_STEPS"], str(os.getpid()))
    names = {}

    def noted(self, loss, callbacks=()):
        learn(self, loss, callbacks)
        job = self.job
        if job not in names:
            told = repr(replace(job, state=None, keep_state=False, until=0, evaluation_steps=(), rows=None))
            names[job] = hashlib.sha256(told.encode()).hexdigest()[:16]
        with open(path, "a") as file:
            file.write(f"{ATTEMPT[0]} {self.step} {time.time():.3f} {names[job]}\n")
        time.sleep(pause)

    run.Run.learn = noted


def leave_no_memory(work):
    """Of autopeft.executor.work."""
    do = work.do

    def limited(trainer, pack):
        import resource

        import psutil

        before = resource.getrlimit(resource.RLIMIT_AS)
        if pack.orders[0].job.configuration.method == os.environ["FAULT_MEMORY"]:
            resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + 2**20, before[1]))
        try:
            return do(trainer, pack)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)

    work.do = limited


def jumping(clock, every):
    """A clock that is hours ahead, behind, ahead ... of itself."""
    began, ahead = clock(), (0, 3, -5, 1)

    def read():
        now = clock()
        return now + 3600 * ahead[int((now - began) / every) % len(ahead)]

    return read


if "FAULT_CLOCK" in os.environ:
    time.time, time.monotonic = (jumping(c, float(os.environ["FAULT_CLOCK"])) for c in (time.time, time.monotonic))
CHANGES = {}
if "FAULT_MEMORY" in os.environ and "autopeft.worker" in sys.orig_argv:
    CHANGES["autopeft.executor.work"] = leave_no_memory
if "FAULT_STEPS" in os.environ:
    CHANGES |= {"autopeft.executor.work": note_attempts, "autopeft.proxy.run": note_steps}
if CHANGES:
    sys.meta_path.insert(0, AfterImport(CHANGES))
