"""Peak memory of a training step: predicted before training, measured on CUDA."""

from autopeft.configuration import Configuration
from autopeft.costs.memory import train_memory
from autopeft.objectives.objective import Counted, register
from autopeft.objectives.setting import Setting


def memory(configuration: Configuration, setting: Setting) -> float:
    """Peak bytes of weights, gradients, optimiser, activations and logits of one step."""
    return train_memory(configuration, setting.shapes, setting.step)


TRAIN_MEMORY = register(
    Counted("train-memory", "peak memory of a training step, bytes", unit="bytes", scale="log", count=memory)
)
