"""Configuration: what is searched. It is immutable, hashable and canonical."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from autopeft.backbone.shapes import canonical_roles
from autopeft.base.checked import checked

Scalar = str | int | float | bool


@dataclass(frozen=True)
class Configuration:
    """A fine-tuning method (or "a+b" of several), its settings, the layers it adapts and its learning rate.

    Make one with `Configuration.of`, which brings every spelling to the canonical one.

    Attributes:
        method: registry name, or names joined by "+" in alphabetical order.
        settings: (name, value) pairs sorted by name; in a combination the names carry their method: "lora.rank".
        layers: the adapted block indices, ascending; the blocks below the first of them are the frozen prefix.
        learning_rate: for the method's parameters.
        procedure: how it is trained, a registry name ("plain": every parameter at every step).
        procedure_settings: (name, value) pairs sorted by name.

    Example:
        >>> from autopeft import Configuration
        >>> one = Configuration.of("lora", {"rank": 8, "target_modules": "value+query"}, [1, 0], 1e-3)
        >>> print(one)
        lora(rank=8, target_modules=query+value) layers 0-1, lr 0.001
        >>> one == Configuration.from_json(one.to_json())
        True
    """

    method: str
    settings: tuple[tuple[str, Scalar], ...]
    layers: tuple[int, ...]
    learning_rate: float
    procedure: str = "plain"
    procedure_settings: tuple[tuple[str, Scalar], ...] = ()

    @classmethod
    def of(
        cls,
        method: str,
        settings: Mapping[str, Scalar],
        layers: Iterable[int],
        learning_rate: float,
        procedure: str = "plain",
        procedure_settings: Mapping[str, Scalar] | None = None,
    ) -> "Configuration":
        """Sort, expand and round so that two spellings of the same configuration are equal."""
        method = "+".join(sorted(method.split("+")))
        canonical = {
            k: canonical_roles(str(v)) if k.split(".")[-1] == "target_modules" else v for k, v in settings.items()
        }
        return cls(
            method,
            tuple(sorted(canonical.items())),
            tuple(sorted(set(layers))),
            float(f"{learning_rate:.6g}"),
            procedure,
            tuple(sorted((procedure_settings or {}).items())),
        )

    @property
    def methods(self) -> tuple[str, ...]:
        """The names of the combined methods; one unless it is a combination."""
        return tuple(self.method.split("+"))

    @property
    def frozen_layers(self) -> int | None:
        """How many blocks below the lowest adapted one are frozen; None when no block is adapted."""
        return self.layers[0] if self.layers else None

    def settings_of(self, method: str) -> dict[str, Scalar]:
        """The settings of one of the combined methods, without its prefix."""
        if "+" not in self.method:
            return dict(self.settings)
        return {k.split(".", 1)[1]: v for k, v in self.settings if k.startswith(method + ".")}

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that name this configuration."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        """As plain dicts and lists; the procedure is left out where it is plain."""
        data = {
            "method": self.method,
            "settings": dict(self.settings),
            "layers": list(self.layers),
            "frozen_layers": self.frozen_layers,
            "learning_rate": self.learning_rate,
        }
        if self.procedure == "plain":
            return data
        return {**data, "procedure": self.procedure, "procedure_settings": dict(self.procedure_settings)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Configuration":
        """Read what `to_json` wrote. Raises ValueError, KeyError, TypeError or AttributeError for anything else."""
        how = data.get("procedure", "plain"), data.get("procedure_settings")
        made = cls.of(data["method"], data["settings"], data["layers"], data["learning_rate"], *how)
        if not 0 <= made.learning_rate < inf or any(layer < 0 for layer in made.layers):
            raise ValueError("no configuration has these")
        return checked(cls, vars(made))

    def __str__(self) -> str:
        layers = "none" if not self.layers else spans(self.layers)
        how = "" if self.procedure == "plain" else f", {called(self.procedure, self.procedure_settings)}"
        return f"{called(self.method, self.settings)} layers {layers}, lr {self.learning_rate:.2g}{how}"


def called(name: str, settings: tuple[tuple[str, Scalar], ...]) -> str:
    """("lora", (("rank", 8),)) -> "lora(rank=8)"."""
    return f"{name}({', '.join(f'{k}={v}' for k, v in settings)})" if settings else name


def spans(layers: tuple[int, ...]) -> str:
    """(0, 1, 2, 5) -> "0-2,5"."""
    parts: list[list[int]] = []
    for layer in layers:
        if parts and layer == parts[-1][-1] + 1:
            parts[-1].append(layer)
        else:
            parts.append([layer])
    return ",".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)
