"""Writes our tuners into peft's own tables, where `get_peft_model` and `PeftModel.from_pretrained` look them up.

Importing this module registers them all. A tuner imports it before anything that imports peft, so whichever of our
modules comes first, peft is complete before the first tuner is defined.
"""

import importlib
import pkgutil

from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING

import autopeft.methods.tuners as tuners


def register(name: str, config_cls: type, model_cls: type, prefix: str) -> None:
    """Enter a tuner of ours into peft's tables.

    peft's register_peft_method refuses names outside its enum, so a plain string is the key: its tables are
    ordinary dictionaries and its enum members compare equal to their strings.

    Args:
        name: peft's name of the type, upper case.
        config_cls: its config's class.
        model_cls: its tuner's class.
        prefix: what the names of the adapter's attributes start with.
    """
    PEFT_TYPE_TO_CONFIG_MAPPING[name] = config_cls
    PEFT_TYPE_TO_TUNER_MAPPING[name] = model_cls
    PEFT_TYPE_TO_PREFIX_MAPPING[name] = prefix


def register_all() -> None:
    """Import every tuner of this folder; each file registers its own."""
    for module in pkgutil.iter_modules(tuners.__path__):
        importlib.import_module(f"{tuners.__name__}.{module.name}")


register_all()
