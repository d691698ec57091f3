"""What the tests of procedures that change the attached model run on: a tiny backbone and rows of random tokens."""

from dataclasses import replace

import numpy as np
from tiny import LAYERS, tiny_backbone

from autopeft.configuration import Configuration
from autopeft.methods import REGISTRY
from autopeft.proxy.job import Job
from autopeft.proxy.trainer import Trainer
from autopeft.tasks.task import Split, Task
from autopeft.tasks.tokens import TokenisedSplit, TokenisedTask


def tokens(rows: int, seed: int) -> TokenisedSplit:
    generator = np.random.default_rng(seed)
    ids = tuple(generator.integers(4, 90, generator.integers(4, 12)).astype(np.int32) for _ in range(rows))
    return TokenisedSplit(ids, None, generator.integers(0, 3, rows), np.array([len(x) for x in ids]))


def trainer(model_type: str, **settings) -> Trainer:
    nothing = Split((), ())
    task = Task("tiny", ("a", "b", "c"), "accuracy", nothing, nothing, nothing)
    return Trainer(tiny_backbone(model_type), TokenisedTask(tokens(40, 0), tokens(16, 1), tokens(16, 2), 1, task), 8)


def configuration(procedure: str, method: str = "lora", layers=range(LAYERS), **settings) -> Configuration:
    return Configuration.of(method, REGISTRY[method].defaults, layers, 1e-2, procedure, settings)


def in_one_piece_and_in_two(trainer: Trainer, configuration: Configuration) -> tuple[bytes, bytes]:
    """The states after six steps, of which the second run was stopped after two."""
    job = Job(configuration, 0, 6, 6, keep_state=True)
    (whole,) = trainer.run([job])
    (begun,) = trainer.run([replace(job, until=2)])
    (rest,) = trainer.run([replace(job, state=begun.state)])
    assert whole.curve.validation_loss[-1] == rest.curve.validation_loss[-1]
    return whole.state, rest.state
