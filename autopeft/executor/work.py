"""What a worker does with a pack: train it, or time a step of it."""

from __future__ import annotations

from collections.abc import Sequence
from traceback import format_exception_only
from typing import Any

import torch

from autopeft.base.errors import AutopeftError
from autopeft.executor.order import answer
from autopeft.executor.seam import ATTEMPTS, Pack
from autopeft.proxy.beat import OverTime
from autopeft.proxy.job import Job, JobResult
from autopeft.proxy.trainer import Trainer


def do(trainer: Trainer, pack: Pack) -> dict[str, Any]:
    """Do what a pack asks for.

    Args:
        trainer: on the resident backbone.
        pack: of orders.

    Returns:
        As JSON-ready values the "answers" to its orders, the "seconds" of a step, or why it was "refused".
    """
    trainer.head_learning_rate = pack.head_learning_rate
    try:
        jobs = [order.with_state() for order in pack.orders]
        if pack.ask == "time":
            return {"seconds": sorted(trainer.seconds_per_step(jobs[0]) for _ in range(3))[1]}
        results = trained(trainer, jobs)
        return {"answers": [answer(o, r).to_json() for o, r in zip(pack.orders, results)]}
    except AutopeftError as error:
        return {"refused": str(error)}


def trained(trainer: Trainer, jobs: Sequence[Job], attempts: int = ATTEMPTS) -> list[JobResult]:
    """Train a pack; what does not fit into the device's memory, or raises whatever else twice, has failed and ends nothing.

    Raises:
        AutopeftError: what a job asks for makes no sense, and a second one would not either.
        OverTime: the pack has had its time.
    """
    try:
        return trainer.run(list(jobs))
    except (AutopeftError, OverTime):
        raise
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        return [JobResult(None, failure=str(error).split(".")[0])] * len(jobs)
    except Exception as error:
        if attempts > 1:
            return trained(trainer, jobs, attempts - 1)
        return [JobResult(None, failure=said(error))] * len(jobs)


def said(error: Exception) -> str:
    """What a job raised, in a line."""
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return "there was too little memory to train it"
    return format_exception_only(error)[0].splitlines()[0]
