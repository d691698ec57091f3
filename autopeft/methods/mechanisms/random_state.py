"""The random generators that a model's operations draw from: the CPU's, and that of each CUDA device it lies on.

KaSA and AdaMSS draw on the device where the weight is, as do dropout and torch's randomised SVD; so a seed has to reach
that device's generator, and a saved state has to hold it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn


def generators(model: nn.Module) -> dict[str, torch.Generator]:
    """By device, such as "cpu" or "cuda:0", torch's own generator."""
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    on_devices = {str(d): torch.cuda.default_generators[d.index] for d in sorted(devices, key=str)}
    return {"cpu": torch.default_generator, **on_devices}


@contextmanager
def seeded(
    model: nn.Module, seed: int, states: Mapping[str, torch.Tensor] | None = None
) -> Iterator[dict[str, torch.Generator]]:
    """For the length of a with block the generators of a model are seeded; then they go on as if it had not been.

    Args:
        model: on whose devices something will draw.
        seed: of every generator.
        states: by device, the state to begin with instead; of a device that the model is not on it is left aside.

    Yields:
        The generators by device.
    """
    found = generators(model)
    before = {name: generator.get_state() for name, generator in found.items()}
    try:
        for name, generator in found.items():
            generator.manual_seed(seed)
            if states and name in states:
                generator.set_state(states[name])
        yield found
    finally:
        for name, generator in found.items():
            generator.set_state(before[name])
