"""The seam between the driver, which owns the study, and whoever trains: packs of orders go out, events come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, TypeAlias

from autopeft.executor.order import Order

Ticket: TypeAlias = int
ATTEMPTS = 2  # at a piece of work


@dataclass(frozen=True)
class Recipe:
    """What a worker opens before its first pack, as JSON-ready values.

    Attributes:
        spec: the study's options, as `StudySpec.model_dump` gives them.
        data: the task's fingerprint, which the worker's own data must have.
        versions: package -> version, which the worker's own must equal.
        precision: the format and attention that were pinned.
        uniform_lora: the configuration that measured objectives are a ratio to.
        rows: the training rows of trials, None for all.
        folder: of the study, where decisions on packing lie; None where none are kept.
        artefacts: where checkpoints lie.
    """

    spec: dict[str, Any]
    data: str
    versions: dict[str, str]
    precision: dict[str, Any]
    uniform_lora: dict[str, Any]
    rows: list[int] | None = None
    folder: str | None = None
    artefacts: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)


@dataclass(frozen=True)
class Pack:
    """Orders that one worker gets together.

    Attributes:
        orders: they differ in their learning rate only.
        head_learning_rate: of the task head.
        ask: "train", or "time" for the seconds of a step of the first order.
        attempt: which one it is at these orders, from 1.
        time_limit: seconds after which the pack counts as lost, though its worker shows signs of life; None for none.
    """

    orders: tuple[Order, ...]
    head_learning_rate: float
    ask: Literal["train", "time"] = "train"
    attempt: int = 1
    time_limit: float | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "orders": [o.to_json() for o in self.orders],
            "head_learning_rate": self.head_learning_rate,
            "ask": self.ask,
            "attempt": self.attempt,
            "time_limit": self.time_limit,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Pack:
        """The pack that `to_json` wrote."""
        return cls(**{**data, "orders": tuple(map(Order.from_json, data["orders"]))})


@dataclass(frozen=True)
class Finished:
    """A pack has ended.

    Attributes:
        given: what `autopeft.executor.work.do` gave.
    """

    ticket: Ticket
    given: dict[str, Any]


@dataclass(frozen=True)
class Lost:
    """A pack's worker died, hung or took too long.

    Attributes:
        died: it may have needed more memory than was left beside others.
    """

    ticket: Ticket
    reason: str
    died: bool = True


Event: TypeAlias = Finished | Lost


class Executor(Protocol):
    """Whoever has workers."""

    @property
    def slots(self) -> int:
        """How many packs are trained at the same time."""
        ...

    def start(self, recipe: Recipe) -> None:
        """Say what workers open; they may begin at once, or with the first pack."""
        ...

    def submit(self, pack: Pack) -> Ticket:
        """Have a pack trained as soon as a slot is free."""
        ...

    def events(self, seconds: float) -> Sequence[Event]:
        """What has ended, waiting so long for the first of them. Raises AutopeftError if workers cannot open the recipe."""
        ...

    def cancel(self, ticket: Ticket) -> None:
        """Forget a pack, and stop its worker if it has begun."""
        ...

    def close(self) -> None:
        """Stop at once what is still running."""
        ...
