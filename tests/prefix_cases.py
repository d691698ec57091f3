"""A tiny task, and the same job without a prefix cache, while it is filled and while it is read."""

from pathlib import Path

import numpy as np

from autopeft.backbone.prefix import PrefixCache
from autopeft.proxy.job import Job
from autopeft.proxy.trainer import Trainer
from autopeft.tasks.task import Split, Task
from autopeft.tasks.tokens import TokenisedSplit, TokenisedTask


def tokens(rows: int, seed: int, labels: int = 3) -> TokenisedSplit:
    generator = np.random.default_rng(seed)
    ids = tuple(generator.integers(2, 90, generator.integers(4, 12)).astype(np.int32) for _ in range(rows))
    lengths = np.array([len(x) for x in ids])
    return TokenisedSplit(ids, None, generator.integers(0, labels, rows), lengths)


def tiny_task() -> TokenisedTask:
    nothing = Split((), ())
    task = Task("tiny", ("a", "b", "c"), "accuracy", nothing, nothing, nothing)
    return TokenisedTask(tokens(40, 0), tokens(16, 1), tokens(16, 2), 1, task)


def runs(backbone, task, configuration, folder: Path):
    """The same job without a cache, while it is filled, and when everything is read."""
    job = Job(configuration, 0, 4, 4, (2,), test=True, keep_state=True)
    cache = PrefixCache(backbone, task, 10**8, folder)
    trainers = [Trainer(backbone, task, 8), Trainer(backbone, task, 8, prefix=cache)]
    return [t.run([job])[0] for t in (trainers[0], trainers[1], trainers[1])], cache
