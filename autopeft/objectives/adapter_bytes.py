"""Bytes of the saved adapter: what is stored and sent."""

from autopeft.configuration import Configuration
from autopeft.costs.storage import adapter_bytes
from autopeft.objectives.objective import Counted, register
from autopeft.objectives.setting import Setting


def stored(configuration: Configuration, setting: Setting) -> float:
    """Bytes of the tensors in adapter_model.safetensors, the task head's included."""
    return adapter_bytes(configuration, setting.shapes)


ADAPTER_BYTES = register(
    Counted("adapter-bytes", "bytes of the saved adapter", unit="bytes", scale="log", count=stored)
)
