"""What the procedures' contract runs over: a tiny backbone and task, and short texts for the real one."""

from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace

import numpy as np
from tiny import LABELS, PAD, VOCABULARY, tiny_backbone

from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.methods import refusal as method_refusal
from autopeft.procedures import REGISTRY, get_procedure
from autopeft.proxy.job import Job
from autopeft.proxy.session import Session
from autopeft.proxy.trainer import Trainer
from autopeft.tasks.tokens import TokenisedSplit, TokenisedTask

PROCEDURES = sorted(REGISTRY)
HOSTS = ("lora", "full", "serial_adapter", "ia3", "dcft")  # the first that a procedure does not refuse trains it


def split(rows: int, seed: int) -> TokenisedSplit:
    """Rows that begin with token 2 and end with 3; between them a token below 20 tells the label."""
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % LABELS
    ids = []
    for label in labels:
        words = random.integers(20, VOCABULARY, random.integers(5, 12))
        words[random.integers(len(words))] = 4 + label
        ids.append(np.array([2, *words, 3], dtype=np.int32))
    return TokenisedSplit(tuple(ids), None, labels, np.array([len(x) for x in ids]))


@cache
def trainer(model_type: str = "bert") -> Trainer:
    task = SimpleNamespace(metric="accuracy", kind="classification", label_names=tuple(map(str, range(LABELS))))
    return Trainer(tiny_backbone(model_type), TokenisedTask(split(40, 0), split(24, 1), split(24, 2), PAD, task), 8)


def settings(name: str, pick=None) -> dict:
    procedure = REGISTRY[name]
    return {k: pick(v) if pick else procedure.defaults[k] for k, v in procedure.hyperparameters.items()}


def host(name: str, shapes) -> str:
    """A method that this procedure trains on this backbone."""
    fitting = [m for m in HOSTS if not method_refusal(m, shapes) and not get_procedure(name).refuses((m,), shapes)]
    assert fitting, f"{name} refuses every method it was offered"
    return fitting[0]


def configuration(name: str, shapes, method: str | None = None, layers=None, how: dict | None = None) -> Configuration:
    """The procedure around a method with its defaults, at the middle of its rates times the procedure's factor."""
    method = method or host(name, shapes)
    low, high = get_method(method).learning_rate
    rate = (low * high) ** 0.5 * get_procedure(name).learning_rate_factor
    every = range(shapes.num_layers) if layers is None else layers
    return Configuration.of(
        method, get_method(method).defaults, every, rate, name, settings(name) if how is None else how
    )


@contextmanager
def opened(wanted: Configuration, steps: int = 10, seed: int = 0, model_type: str = "bert"):
    """A session whose advance() stops after every step."""
    found = trainer(model_type)
    job = Job(wanted, seed, steps, steps, tuple(range(1, steps)))
    with found.attached(job) as (model, place):
        yield Session(found, model, place, [found.run_of(model, job, own=True)])
