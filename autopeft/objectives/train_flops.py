"""Floating-point operations of a training step."""

from autopeft.configuration import Configuration
from autopeft.costs.flops import train_flops
from autopeft.objectives.objective import Counted, register
from autopeft.objectives.setting import Setting


def flops(configuration: Configuration, setting: Setting) -> float:
    """Operations of forward and backward of one step; a multiply-add counts as two."""
    return train_flops(configuration, setting.shapes, setting.step)


TRAIN_FLOPS = register(
    Counted("train-flops", "floating-point operations of a training step", unit="FLOPs", scale="log", count=flops)
)
