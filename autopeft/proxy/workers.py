"""Packs of jobs -> results, on worker processes that share the resident backbone's memory, or in this process.

A short batch cannot keep several threads busy, so on a CPU several single-threaded trainings side by side finish more
of them in the same time. Workers are forked once the backbone is loaded: they start at once and copy nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from traceback import format_exception_only

import torch

from autopeft.base.errors import AutopeftError
from autopeft.proxy.job import Job, JobResult, packs
from autopeft.proxy.pool import ATTEMPTS, Lost, Pool
from autopeft.proxy.trainer import Trainer

MOST = 8  # worker processes, however many cores there are
GAIN = 1.1  # how much more work side by side must finish to be chosen


class Workers:
    """Runs jobs. workers = 1 means this process, with all of its threads.

    Args:
        trainer: trains them.
        workers: how many processes.
        seconds_per_step: the timing that chose this number, empty where nothing was timed.
    """

    def __init__(self, trainer: Trainer, workers: int = 1, seconds_per_step: Mapping[str, float] | None = None) -> None:
        self.trainer, self.workers, self.seconds_per_step = trainer, workers, dict(seconds_per_step or {})
        self._pool = Pool(trainer, workers)

    def run(self, jobs: list[Job]) -> Iterator[tuple[int, JobResult]]:
        """(number of the job, what it gave), as they end."""
        groups = packs(jobs)
        work = [[jobs[i] for i in group] for group in groups]
        if self.workers == 1:
            for group, pack in zip(groups, work):
                yield from zip(group, run_pack(self.trainer, pack))
            return
        for number, found in self._pool.map(run_pack, work):
            if isinstance(found, Lost):
                found = [JobResult(None, failure=found.reason)] * len(groups[number])
            yield from zip(groups[number], found)

    def close(self) -> None:
        """Stop at once what is still running."""
        self._pool.close()


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
        said = format_exception_only(error)[0].splitlines()[0]
        return [JobResult(None, failure=said)] * len(pack)


def timed(trainer: Trainer, job: Job) -> float:
    """Seconds of a step in this worker while the others do the same."""
    return sorted(trainer.seconds_per_step(job) for _ in range(3))[1]


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
    side_by_side = Pool(trainer, most)
    try:
        slowest = max(seconds for _, seconds in side_by_side.map(timed, [probe] * most))
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
