"""A job's seed, a step and a purpose -> a random generator, so that a resumed run draws what it would have drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autopeft.methods.mechanisms.training import TrainingSession

if TYPE_CHECKING:
    import torch


def generator(session: TrainingSession, *place: int) -> np.random.Generator:
    """A generator that the job's seed and `place` (a step or a period, and what is drawn there) decide."""
    return np.random.default_rng([session.seed, *place])


def torch_generator(session: TrainingSession, device: torch.device, *place: int) -> torch.Generator:
    """The same generator for tensors, on a device."""
    import torch

    seed = int(np.random.SeedSequence([session.seed, *place]).generate_state(1, np.uint64)[0])
    return torch.Generator(device).manual_seed(seed)
