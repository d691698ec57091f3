"""Trainable parameters, the task head aside."""

from autopeft.configuration import Configuration
from autopeft.methods import count
from autopeft.objectives.objective import Counted, register
from autopeft.objectives.setting import Setting


def parameters(configuration: Configuration, setting: Setting) -> float:
    """Trainable parameters of a configuration, counted from the sizes; the task head is counted apart."""
    return count(configuration, setting.shapes)


PARAMETERS = register(
    Counted("parameters", "trainable parameters, task head aside", unit="parameters", scale="log", count=parameters)
)
