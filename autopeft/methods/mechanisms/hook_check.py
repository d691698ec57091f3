"""A check in two of peft's tuners that keeps alive every layer it has seen."""

from __future__ import annotations

from typing import Any


def without_memory(layers: Any) -> None:
    """Replace peft's check for hooks, which caches every layer for good, by the same check without a cache.

    Args:
        layers: peft's module of a tuner's layers.
    """
    check = layers._warn_once_about_module_hooks
    layers._warn_once_about_module_hooks = getattr(check, "__wrapped__", check)
