"""autopeft: search for the fine-tuning configuration that suits your model, data and parameter budget.

Importing it loads no torch; peft learns of autopeft's own methods as soon as both are imported.
"""

from importlib.metadata import version as _version

from autopeft.base.errors import AutopeftError
from autopeft.base.progress import Progress
from autopeft.compress import compress
from autopeft.configuration import Configuration
from autopeft.counting import count
from autopeft.methods.mechanisms import peft_import as _peft_import
from autopeft.search import plan, search
from autopeft.trace import trace
from autopeft.train import train

__all__ = [
    "AutopeftError",
    "Configuration",
    "Progress",
    "Result",
    "compress",
    "count",
    "plan",
    "search",
    "trace",
    "train",
]
__version__ = _version("autopeft")

_peft_import.install()


def __getattr__(name: str):
    if name == "Result":  # reads fronts and Optuna studies: loaded when it is wanted
        from autopeft.result import Result

        return Result
    raise AttributeError(f"module 'autopeft' has no attribute '{name}'")
