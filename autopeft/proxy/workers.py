"""Packs of jobs -> results, on worker processes that share the resident backbone's memory, or in this process.

A short batch cannot keep several threads busy, so on a CPU several single-threaded trainings side by side finish more
of them in the same time. Workers are forked once the backbone is loaded: they start at once and copy nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

import torch
from threadpoolctl import threadpool_limits

from autopeft.base.errors import AutopeftError
from autopeft.base.interrupt import raise_if_interrupted
from autopeft.proxy.job import Job, JobResult, packs
from autopeft.proxy.trainer import Trainer

MOST = 8  # worker processes, however many cores there are
ATTEMPTS = 2  # at a pack
GAIN = 1.1  # how much more work side by side must finish to be chosen

_trainer: Trainer | None = None  # of a worker process: inherited when it is forked


class Workers:
    """Runs jobs. workers = 1 means this process, with all of its threads.

    Args:
        trainer: trains them.
        workers: how many processes.
        seconds_per_step: the timing that chose this number, empty where nothing was timed.
    """

    def __init__(self, trainer: Trainer, workers: int = 1, seconds_per_step: Mapping[str, float] | None = None) -> None:
        self.trainer, self.workers, self.seconds_per_step = trainer, workers, dict(seconds_per_step or {})
        self._pool: ProcessPoolExecutor | None = None

    def run(self, jobs: list[Job]) -> Iterator[tuple[int, JobResult]]:
        """(number of the job, what it gave), as they end."""
        groups = packs(jobs)
        if self.workers == 1:
            for group in groups:
                yield from zip(group, run_pack(self.trainer, [jobs[i] for i in group]))
            return
        left = {self._submit([jobs[i] for i in group]): group for group in groups}
        raise_if_interrupted()  # an interrupt during a fork is dropped
        try:
            for future in as_completed(list(left)):
                group = left[future]
                yield from zip(group, future.result())
                del left[future]
                raise_if_interrupted()
        except BrokenProcessPool:  # a worker was killed, most likely for its memory: find out by which pack
            raise_if_interrupted()  # or with this process
            self.close()
            for group in left.values():
                yield from zip(group, self._alone([jobs[i] for i in group]))

    def _alone(self, pack: list[Job]) -> list[JobResult]:
        """One pack with nothing beside it; if that kills a worker too, the pack has failed."""
        try:
            return self._submit(pack).result()
        except BrokenProcessPool:
            self.close()
            return [JobResult(None, failure="the process that trained it was killed, most likely out of memory")] * len(
                pack
            )

    def _submit(self, pack: list[Job]) -> Future:
        return self.pool().submit(run_in_worker, pack)

    def pool(self) -> ProcessPoolExecutor:
        """The pool of worker processes, started when it is first asked for."""
        if self._pool is None:
            fork = multiprocessing.get_context("fork")
            self._pool = ProcessPoolExecutor(self.workers, fork, begin, (self.trainer, os.getpid()))
        return self._pool

    def close(self) -> None:
        """Stop at once what is still running."""
        if self._pool is not None:
            processes, results = list((self._pool._processes or {}).values()), self._pool._result_queue
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.kill()
            for process in processes:
                process.join()
            if results is not None:  # a result half written by a worker that was killed would be waited for
                results._writer.close()  # type: ignore[attr-defined]
            self._pool = None


def run_pack(trainer: Trainer, pack: list[Job], attempts: int = ATTEMPTS) -> list[JobResult]:
    """Train a pack; what does not fit into the device's memory, or raises whatever else twice, has failed and ends nothing.

    Raises:
        AutopeftError: what a job asks for makes no sense, and a second one would not either.
    """
    try:
        return trainer.run(pack)
    except AutopeftError:
        raise
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        return [JobResult(None, failure=str(error).split(".")[0])] * len(pack)
    except Exception as error:
        if attempts > 1:
            return run_pack(trainer, pack, attempts - 1)
        said = (
            f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason given'}"
        )
        return [JobResult(None, failure=said)] * len(pack)


def begin(trainer: Trainer, parent: int) -> None:
    """In a worker: one thread (a forked OpenMP can have no more), Ctrl-C left to the parent, and not to outlive it.

    Nor may scikit-learn, by which AdaMSS clusters, see more: it would wait forever for threads of torch's OpenMP in the
    parent. Told to libraries that are loaded and, by the environment, to those that are not yet.
    """
    global _trainer
    _trainer = trainer
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    threadpool_limits(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()


def end_with(parent: int) -> None:
    """End this process once its parent is gone."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def of_this_worker() -> Trainer:
    """The trainer that this worker process inherited."""
    assert _trainer is not None  # `begin` sets it before a worker gets its first job
    return _trainer


def run_in_worker(pack: list[Job]) -> list[JobResult]:
    """`run_pack` in a worker process."""
    return run_pack(of_this_worker(), pack)


def timed_in_worker(job: Job) -> float:
    """Seconds of a step in this worker while the others do the same."""
    return sorted(of_this_worker().seconds_per_step(job) for _ in range(3))[1]


def choose_workers(trainer: Trainer, probe: Job, wanted: int | None = None) -> tuple[int, dict[str, float]]:
    """Time one process against workers side by side. On CUDA one process: what fills the device there is packing.

    Args:
        trainer: trains the probe.
        probe: the job whose steps are timed.
        wanted: take this many workers and time nothing.

    Returns:
        How many workers, and the seconds per step of one process with every core and of workers side by side.
    """
    most = fixed_workers(trainer)
    if wanted or most == 1:
        return wanted or 1, {}
    alone = trainer.seconds_per_step(probe)
    side_by_side = Workers(trainer, most)
    try:
        pool = side_by_side.pool()
        slowest = max(pool.map(timed_in_worker, [probe] * most))
    finally:
        side_by_side.close()
    timing = {"1 process": alone, f"{most} workers": slowest / most}
    return most if GAIN * slowest / most < alone else 1, timing


def fixed_workers(trainer: Trainer) -> int:
    """The most worker processes that make sense here, which no timing decides: one per core, on CUDA none beside this."""
    on_cuda = next(trainer.backbone.model.parameters()).is_cuda
    return 1 if on_cuda or sys.platform != "linux" else min(cores(), MOST)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
