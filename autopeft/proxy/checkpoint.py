"""A job on its way -> a file from which it goes on after a kill: what a part of a run has not yet given back.

A job is kept every EVERY seconds, or more rarely where writing takes long. Its file is named after what it is, its state
included, and stays until whoever asked for the job has stored what it gave.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from typing_extensions import TypedDict

from autopeft.base.artefacts import Artefacts, delete, read, write
from autopeft.base.checked import checked, parsed
from autopeft.base.errors import AutopeftError
from autopeft.base.seal import KEY, is_whole, sealed
from autopeft.base.steady import steady
from autopeft.proxy.job import Job

if TYPE_CHECKING:
    from autopeft.proxy.run import Run
    from autopeft.proxy.scoring import Judged

EVERY = 10.0  # seconds
SHARE = 20  # times as long as writing took between two of them at least

Point: TypeAlias = "tuple[int, float, Judged]"  # (step, train loss, on the validation split)


class About(TypedDict):
    """What stands before a state."""

    points: list[tuple[int, float, float, float, str | None]]
    seconds: float
    state: str


@dataclass(frozen=True)
class Checkpoint:
    """How far a job has come.

    Attributes:
        state: of its run.
        points: what it has measured.
        seconds: that it has taken.
    """

    state: bytes
    points: list[Point]
    seconds: float


class Checkpoints:
    """The files of jobs that have not been stored.

    Args:
        artefacts: among which they lie.
    """

    def __init__(self, artefacts: Artefacts) -> None:
        self.artefacts = artefacts

    def of(self, job: Job, state: str = "") -> JobFile:
        """The file of a job.

        Args:
            job: with or without the state that it goes on from.
            state: its SHA-256, where the job is without it.
        """
        if job.state is not None:
            state = hashlib.sha256(job.state).hexdigest()
        identity = repr(replace(job, state=None, keep_state=False)) + state
        return JobFile(self.artefacts.path(f"job-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.state"))


class JobFile:
    """The checkpoint of one job.

    Args:
        path: of the file, or its URL.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._next = steady() + EVERY

    def due(self) -> bool:
        """Whether it is time to write."""
        return steady() >= self._next

    def write(self, run: Run, points: Sequence[Point], seconds: float) -> None:
        """Keep a run, what it has measured and the seconds that it has taken."""
        began, state = steady(), run.state()
        rows = [(step, loss, x.loss, x.score, x.units.to_text() if x.units else None) for step, loss, x in points]
        about = sealed({"points": rows, "seconds": seconds, "state": hashlib.sha256(state).hexdigest()})
        write(self.path, about.encode() + b"\n" + state)
        took = steady() - began
        self._next = began + took + max(EVERY, SHARE * took)

    def read(self) -> Checkpoint | None:
        """What was kept; None where there is nothing, or nothing whole, which is said."""
        content = read(self.path)
        if content is None:
            return None
        about, _, state = content.partition(b"\n")
        try:
            if not is_whole(about):
                raise ValueError("damaged")
            data = checked(About, {k: v for k, v in parsed(about).items() if k != KEY})
            if data["state"] != hashlib.sha256(state).hexdigest():
                raise ValueError("another state")
            return Checkpoint(state, [point_of(*row) for row in data["points"]], data["seconds"])
        except (ValueError, AttributeError, AutopeftError):
            logging.getLogger("autopeft").warning(
                f"{self.path} is damaged: its job is trained again from the beginning."
            )
            return None

    def drop(self) -> None:
        """Remove it."""
        delete(self.path)


def point_of(step: int, train_loss: float, loss: float, score: float, units: str | None) -> Point:
    """A point as it was measured."""
    from autopeft.proxy.scoring import Judged  # loads torch, which whoever drops a file does not need
    from autopeft.tasks.unit_scores import UnitScores

    return step, train_loss, Judged(loss, score, UnitScores.from_text(units) if units else None)
