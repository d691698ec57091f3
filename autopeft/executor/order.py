"""Orders: what a worker is asked to train and what it answers, as JSON. A state travels as a file's name and SHA-256."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from autopeft.configuration import Configuration
from autopeft.executor.stored import Stored
from autopeft.proxy.curve import Curve
from autopeft.proxy.job import Job, JobResult, packs

IN_JOB = [f.name for f in fields(Job) if f.name not in ("configuration", "state", "keep_state")]


@dataclass(frozen=True)
class Order:
    """A job, where the state that it goes on from is kept, and where its own is to be.

    Attributes:
        job: without a state of its own.
        state: at the end of an earlier part, None to begin.
        keep: path of the state at the end of this part, None where nobody goes on from it.
    """

    job: Job
    state: Stored | None = None
    keep: str | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values."""
        job = {name: getattr(self.job, name) for name in IN_JOB}
        state = asdict(self.state) if self.state else None
        return {"configuration": self.job.configuration.to_json(), "job": job, "state": state, "keep": self.keep}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Order:
        """The order that `to_json` wrote."""
        job: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data["job"].items()}
        state = Stored(**data["state"]) if data["state"] else None
        return cls(Job(Configuration.from_json(data["configuration"]), **job), state, data["keep"])

    def with_state(self) -> Job:
        """The job as it is trained. Raises AutopeftError if the state is not what was stored."""
        return replace(self.job, state=self.state.read() if self.state else None, keep_state=self.keep is not None)


@dataclass(frozen=True)
class Answer:
    """What an order gave: the curve of its part of a run, or why it failed; with the state to go on from."""

    curve: Curve | None
    state: Stored | None = None
    failure: str | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values."""
        curve = self.curve.to_json() if self.curve else None
        return {"curve": curve, "state": asdict(self.state) if self.state else None, "failure": self.failure}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Answer:
        """The answer that `to_json` wrote."""
        curve = Curve.from_json(data["curve"]) if data["curve"] else None
        return cls(curve, Stored(**data["state"]) if data["state"] else None, data["failure"])


def answer(order: Order, result: JobResult) -> Answer:
    """Keep a result's state where the order says, and answer."""
    if result.state is None or order.keep is None:
        return Answer(result.curve, None, result.failure)
    return Answer(result.curve, Stored.write(order.keep, result.state), result.failure)


def packs_of(orders: Sequence[Order]) -> list[list[int]]:
    """Orders -> their numbers, grouped by what can be trained in one batch."""
    return packs([replace(o.job, state=b"" if o.state else None, keep_state=o.keep is not None) for o in orders])
