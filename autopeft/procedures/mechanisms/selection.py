"""Selection: only some of a method's parameters train at a time, the others get no gradient."""

from __future__ import annotations

from collections.abc import Collection

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.method import Method, Settings, get_method
from autopeft.methods.mechanisms.training import TrainingSession


class Selection(Callback):
    """Before each step: which parameters of the blocks it trains. What lies beside them (the head) always trains.

    A parameter that is left out has requires_grad off, so that nothing is computed for it, and where nothing below
    the lowest active block trains the backward pass ends there. It keeps its value: AdamW passes over a parameter
    without a gradient, and has no weight decay here.
    """

    forgets = True  # AdamW's moments of what is left out: stale ones would move it when it comes back

    def __init__(self, session: TrainingSession, settings: Settings) -> None:
        super().__init__(session, settings)
        self.adapted, self.shapes, self.steps = session.configuration.layers, session.shapes, session.steps
        self.layer_of = {name: layer_of(name, session.shapes) for name in session.parameters}
        self._active: frozenset[str] | None = None

    def active(self, step: int) -> Collection[str]:
        """Names of the blocks' parameters that the step after `step` done ones trains: a function of seed and step."""
        raise NotImplementedError

    def of_layers(self, layers: Collection[int]) -> list[str]:
        """The names of the parameters in these blocks."""
        return [name for name, layer in self.layer_of.items() if layer in layers]

    @override
    def before_forward(self, step: int) -> None:
        active = frozenset(self.active(step)) | {n for n, layer in self.layer_of.items() if layer is None}
        if active == self._active:
            return
        self._active = active
        for name, parameter in self.session.parameters.items():
            parameter.requires_grad_(name in active)
            if self.forgets and name not in active:
                self.session.optimiser.state.pop(parameter, None)


def layer_of(name: str, shapes: BackboneShapes) -> int | None:
    """The block that a parameter or a module path lies in."""
    return shapes.layer_of(name)


def unselectable(methods: tuple[str, ...], shapes: BackboneShapes) -> str | None:
    """Why layers cannot be trained in turn: the method has its own rhythm, or no parameters in the blocks."""
    for name in methods:
        method = get_method(name)
        if type(method).callback is not Method.callback:
            return f"{name} chooses itself what trains when"
        fields = fields_of(method, shapes)
        paths = [*fields.get("target_modules", ()), *fields.get("modules_to_save", ())]
        if not any(layer_of(path, shapes) is not None for path in paths):
            return f"{name} has no parameters of its own in each layer"
    return None


def fields_of(method: Method, shapes: BackboneShapes) -> dict:
    """A method's peft fields with its defaults on every layer; {} if it adapts none or does not fit."""
    if method.layers == "none" or method.refuses(shapes):
        return {}
    fields = method.peft_fields(method.defaults, tuple(range(shapes.num_layers)), shapes)
    if "parts" not in fields:
        return fields
    targets = [part["target_modules"] for part in fields["parts"]]  # a name in place of a list: none
    return {"target_modules": [path for paths in targets if isinstance(paths, list) for path in paths]}
