"""autopeft: search for the fine-tuning configuration that suits your model, data and parameter budget.

Importing it loads no torch; peft learns of autopeft's own methods as soon as both are imported.
"""

from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

from autopeft.base.errors import AutopeftError
from autopeft.base.progress import Progress
from autopeft.compress import compress
from autopeft.configuration import Configuration
from autopeft.counting import count
from autopeft.methods.mechanisms import peft_import as _peft_import
from autopeft.planning import plan
from autopeft.search import search
from autopeft.study.spec import StudySpec
from autopeft.trace import trace
from autopeft.train import train

if TYPE_CHECKING:
    from autopeft.front import Front, FrontPoint
    from autopeft.result import Result

__all__ = [
    "AutopeftError",
    "Configuration",
    "Front",
    "FrontPoint",
    "Progress",
    "Result",
    "StudySpec",
    "compress",
    "count",
    "plan",
    "search",
    "trace",
    "train",
]
__version__ = _version("autopeft")

_peft_import.install()


def __getattr__(name: str) -> Any:
    if name == "Result":  # reads fronts and Optuna studies: loaded when it is wanted
        from autopeft.result import Result

        return Result
    if name in ("Front", "FrontPoint"):
        import autopeft.front

        return getattr(autopeft.front, name)
    raise AttributeError(f"module 'autopeft' has no attribute '{name}'")
