"""How long a training run is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RunLength:
    """The training steps of the whole run, and the rows in a batch."""

    steps: int
    batch_size: int
