"""A job's seed, a step and a purpose -> a random generator, so that a resumed run draws what it would have drawn.

Imports no torch.
"""

import numpy as np


def generator(session, *place: int) -> np.random.Generator:
    """A generator that the job's seed and `place` (a step or a period, and what is drawn there) decide."""
    return np.random.default_rng([session.seed, *place])


def torch_generator(session, device, *place: int):
    """The same for tensors that are drawn on a device."""
    import torch

    seed = int(np.random.SeedSequence([session.seed, *place]).generate_state(1, np.uint64)[0])
    return torch.Generator(device).manual_seed(seed)
