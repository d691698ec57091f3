"""What a method or a procedure does beside training the parameters of its peft config."""

import importlib.util
import runpy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from autopeft.configuration import Configuration, called
from autopeft.methods import Method, get_method
from autopeft.procedures import get_procedure

SWITCHES = {"extra_loss": "orthogonality", "callback": "refresh"}  # settings that switch it off at 0


def beyond_parameters(configuration: Configuration) -> tuple[str, ...]:
    """A sentence for each thing that autopeft does and a loop that trains the peft config's parameters does not."""
    sentences = []
    for name in configuration.methods:
        method, settings = get_method(name), configuration.settings_of(name)
        if method.needs_statistics:
            sentences.append(f"{method.title} is set up from the task's data, and a config holds no data.")
        elif chooses_places(method):
            sentences.append(
                f"{method.title} chooses which entries are trained from the weights or at random, and a config names none."
            )
        if does(method, "extra_loss", settings):
            sentences.append(f"{method.title}'s regulariser is not added to the loss.")
        sentences += losses_between_steps(method, settings)
    return (*sentences, *procedure_losses(configuration))


def losses_between_steps(method: Method, settings: Mapping[str, Any]) -> list[str]:
    """What a loop without hooks of the method's own leaves out."""
    if not does(method, "callback", settings):
        return []
    return [f"What {method.title} does between the steps (reallocation, reselection, sampling) is left out."]


def procedure_losses(configuration: Configuration) -> tuple[str, ...]:
    """What is lost where every parameter is trained at every step in the usual way."""
    if configuration.procedure == "plain":
        return ()
    procedure = get_procedure(configuration.procedure)
    how = called(configuration.procedure, configuration.procedure_settings)
    return (f"The training procedure {how} ({procedure.title}) is left out: every parameter is trained at every step.",)


def does(method: Method, act: str, settings: Mapping[str, Any]) -> bool:
    """Whether a method overrides the act and its settings leave it on.

    Args:
        method: a fine-tuning method.
        act: the name of a method of `Method`, such as "callback".
        settings: a value for each of its hyperparameters.
    """
    return getattr(type(method), act) is not getattr(Method, act) and settings.get(SWITCHES[act], 1) != 0


def chooses_places(method: Method) -> bool:
    """Whether a tuner of ours is given its entries after it is built."""
    from autopeft.methods.mechanisms.sparse import Sparse

    return isinstance(method, Sparse)


@cache
def types_of_peft() -> frozenset[str]:
    """The peft_type values of the installed peft, read from its file: importing peft would load torch."""
    found = importlib.util.find_spec("peft")
    assert found and found.origin  # peft is a dependency
    path = Path(found.origin).parent / "utils" / "peft_types.py"
    return frozenset(kind.value for kind in runpy.run_path(str(path))["PeftType"])
