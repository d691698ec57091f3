"""Labels and predictions -> a number to maximise. Imports no torch."""

import importlib
import sys
from collections.abc import Callable, Sequence

from autopeft.errors import AutopeftError


def accuracy(labels, predictions) -> float:
    from sklearn.metrics import accuracy_score

    return accuracy_score(labels, predictions)


def macro_f1(labels, predictions) -> float:
    from sklearn.metrics import f1_score

    return f1_score(labels, predictions, average="macro", zero_division=0)


def matthews(labels, predictions) -> float:
    from sklearn.metrics import matthews_corrcoef

    return matthews_corrcoef(labels, predictions)


def own_metric(name: str) -> Callable[[Sequence, Sequence], float]:
    """ "package.module:function" -> the function (references, predictions) -> a number to maximise.

    The current folder is searched too. Raises AutopeftError when there is no such function.
    """
    module, _, function = name.partition(":")
    sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise AutopeftError(
            f"The metric '{name}' cannot be imported: {error}. Write package.module:function."
        ) from None
    finally:
        sys.path.remove("")
