"""How much longer a forward pass takes with a configuration's adapters: merged where they merge, else attached."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from autopeft.backbone.loading import Backbone
from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.methods.mechanisms.attach import Resident, attached
from autopeft.methods.mechanisms.statistics import Statistics
from autopeft.procedures import get_procedure
from autopeft.proxy.generation import device_of
from autopeft.proxy.scoring import forward
from autopeft.tasks.batches import collate
from autopeft.tasks.tokens import TokenisedTask

ROUNDS = 7  # passes of each that are timed, after one that warms up; the fastest of each counts


def latency_ratio(
    backbone: Backbone,
    tokenised: TokenisedTask,
    configuration: Configuration,
    seed: int,
    statistics: Statistics | None = None,
    rows: int = 16,
) -> float:
    """Seconds of a forward pass with the adapters over those of the bare backbone, timed in turn.

    Args:
        backbone: The resident model, which is left bit for bit as it was.
        tokenised: The task whose validation rows are read.
        configuration: What is attached; it need not be trained, since numbers do not change the time.
        seed: Of the adapters' first values.
        statistics: Of the task's gradients and activations, for the methods that ask for them.
        rows: How many rows a pass has.

    Returns:
        The ratio of the two fastest passes: about 1 for what merges.
    """
    inputs, _ = collate(tokenised.validation, _first(tokenised, rows), tokenised.pad_token_id)
    kind, bare = backbone.shapes.kind, Resident(backbone.model)
    with deployed(configuration, backbone, seed, statistics) as model, torch.inference_mode():
        adapted = Resident(backbone.model)
        times: dict[str, list[float]] = {"bare": [], "adapted": []}
        for number in range(ROUNDS + 1):
            for name, state, wanted in (("bare", bare, backbone.model), ("adapted", adapted, model)):
                state.restore()
                seconds = _seconds(wanted, inputs, kind)
                if number:
                    times[name].append(seconds)
        adapted.restore()
    return min(times["adapted"]) / min(times["bare"])


@contextmanager
def deployed(
    configuration: Configuration, backbone: Backbone, seed: int, statistics: Statistics | None = None
) -> Iterator[nn.Module]:
    """The model as it would be used: its adapters merged and taken off where all methods can be, else attached.

    The backbone has its own modules and the bits of its weights again however the block ends.
    """
    procedure = get_procedure(configuration.procedure)
    merges = all(get_method(name).mergeable for name in configuration.methods) and not procedure.changes_model
    with ExitStack() as stack:
        stack.enter_context(_same_bits(backbone, configuration))
        model = stack.enter_context(attached(configuration, backbone, seed, statistics))
        if merges:
            model.merge_adapter()  # not unloaded: peft cannot take its copies of every head off, and they cost nothing
            yield model
            return
        stack.enter_context(procedure.around(model, configuration, backbone.shapes))
        yield model


@contextmanager
def _same_bits(backbone: Backbone, configuration: Configuration) -> Iterator[None]:
    """Put the weights of the adapted layers back: merging and unmerging would leave them rounded."""
    layers = set(configuration.layers)
    named = backbone.model.named_parameters()
    kept = [(p, p.data, p.data.clone()) for name, p in named if backbone.shapes.layer_of(name) in layers]
    try:
        yield
    finally:
        for parameter, tensor, value in kept:
            parameter.data = tensor.copy_(value)


def _first(tokenised: TokenisedTask, rows: int) -> np.ndarray:
    split = tokenised.validation
    return split.expand(np.arange(min(rows, split.number_of_units)))


def _seconds(model: nn.Module, inputs: dict[str, torch.Tensor], kind: Any) -> float:
    """Seconds of one pass, until its result is there."""
    device = device_of(model)
    started = time.perf_counter()
    forward(model, dict(inputs), kind)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
