"""What an adapter adds to the output of its module, changed while a model runs.

A tuner layer's output minus its module's own output at the same input is what the adapter adds, whatever the method:
so one pair of hooks serves LoRA, DCFT, bottleneck adapters, (IA)^3 ... alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import get_method
from autopeft.procedures.mechanisms.selection import fields_of, layer_of

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from torch import nn
    from torch.utils.hooks import RemovableHandle

    Change = Callable[[torch.Tensor], torch.Tensor]
    ChangeInLayer = Callable[[int, torch.Tensor], torch.Tensor]  # (layer number, addition) -> the new addition


@contextmanager
def changed_additions(model: PeftModel, shapes: BackboneShapes, change: ChangeInLayer) -> Iterator[None]:
    """Change what every adapter adds for the length of a with block.

    Args:
        model: the attached model.
        shapes: the backbone's sizes.
        change: (layer number, addition (B, ..., H)) -> what is added in its place.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    handles: list[RemovableHandle] = []
    for path, layer in reversed(list(model.named_modules())):  # of nested ones the inner is changed first
        number = layer_of(path, shapes)
        if isinstance(layer, BaseTunerLayer) and layer.adapter_layer_names and number is not None:
            handles += hooks(layer, partial(change, number))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def hooks(layer: nn.Module, change: Change) -> list[RemovableHandle]:
    """Replace the output of a tuner layer by its module's output plus the changed addition."""
    seen: list[tuple] = []  # input and output of the wrapped module, as the layer itself ran it

    def see(_: nn.Module, args: tuple, kwargs: dict[str, Any], out: Any) -> None:
        seen[:] = [(first(args, kwargs), first(out))]

    def replace(_: nn.Module, args: tuple, kwargs: dict[str, Any], out: Any) -> Any:
        x, whole = first(args, kwargs), first(out)
        # A layer that hands its module another input ((IA)^3 in a feed-forward part), or adds in place, needs it anew.
        own = seen[0][1] if seen and seen[0][0] is x and seen[0][1] is not whole else None
        own = first(layer.base_layer(*args, **kwargs)) if own is None else own
        seen.clear()
        new = own + change(whole - own).to(own.dtype)
        return (new, *out[1:]) if isinstance(out, tuple) else new

    return [
        layer.base_layer.register_forward_hook(see, with_kwargs=True),
        layer.register_forward_hook(replace, with_kwargs=True),
    ]


def first(values: Any, named: dict[str, Any] | None = None) -> Any:
    """The first tensor of what a module was given or returned."""
    if isinstance(values, tuple):
        return values[0] if values else next(iter((named or {}).values()))
    return values


def not_additive(methods: tuple[str, ...], shapes: BackboneShapes) -> str | None:
    """Why what a method does is no addition to the outputs of linears, norms or blocks; None if it is."""
    known = {x.path for x in shapes.linears} | {x.path for x in shapes.biases}
    known |= {shapes.block(layer) for layer in range(shapes.num_layers)}
    for name in methods:
        method = get_method(name)
        if method.rewrites_base and not method.zero_start:
            return f"{name} moves a part of the backbone's own weights into its adapters"
        fields = fields_of(method, shapes)
        targets = set(fields.get("target_modules", ()))
        if not targets or not targets <= known or fields.get("modules_to_save"):
            return f"{name} adds nothing to the output of a module"
    return None
