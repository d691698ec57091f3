"""The executor of many machines: Ray actors, each of which opens the recipe and does one pack after another.

Ray connects whoever reaches its ports without asking who they are: a cluster belongs on a network that is trusted. What goes
between the driver and an actor is JSON; the study's folder has to be one that all nodes see.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any

from autopeft.base.errors import AutopeftError
from autopeft.base.steady import steady
from autopeft.executor.seam import Event, Finished, Lost, Recipe, Ticket
from autopeft.executor.waiting import Waiting
from autopeft.executor.watch import POLL, Watch

LOOK = 5.0  # seconds between two questions whether an actor goes on
CONNECT = 10.0  # seconds to reach an address
ACTOR = "autopeft.worker:RemoteWorker"
GONE = "its node or process was lost"


@dataclass
class Actor:
    """One actor, and what it is doing."""

    handle: Any
    ticket: Ticket | None = None
    answer: Any = None  # the object reference of what it is doing
    alive: Any = None  # ... and of the last question whether it goes on
    beats: int = -1  # below zero while it opens the recipe
    time_limit: float | None = None
    watch: Watch = field(default_factory=Watch)
    asked: float = 0.0


class Cluster(Waiting):
    """Actors on a Ray cluster.

    Args:
        address: of the cluster, as `ray.init` takes it; "auto" for the one that this machine belongs to.
        slots: how many actors; as many as the cluster has GPUs, or else cores, if not given.

    Raises:
        AutopeftError: Ray is not installed, or no cluster is there.
    """

    def __init__(self, address: str = "auto", slots: int | None = None) -> None:
        super().__init__()
        self._ray = started_ray(address)
        resources = self._ray.cluster_resources()
        self._gpus = 1 if resources.get("GPU") else 0
        self.slots = slots or int(resources["GPU"] if self._gpus else resources.get("CPU", 1))
        self._recipe = ""
        self._actors: list[Actor] = []

    def start(self, recipe: Recipe) -> None:
        """Actors open the recipe with their first pack."""
        self._recipe = json.dumps(recipe.to_json())

    def events(self, seconds: float) -> Sequence[Event]:
        """What has ended. Raises AutopeftError if an actor cannot open the recipe."""
        busy = [actor for actor in self._actors if actor.ticket is not None]
        if busy:
            self._ray.wait([actor.answer for actor in busy], timeout=min(seconds, POLL))
        found = [event for actor in busy if (event := self._of(actor))]
        self._give()
        return found

    def cancel(self, ticket: Ticket) -> None:
        """Forget a pack; the actor that has begun it is stopped."""
        super().cancel(ticket)
        for actor in [a for a in self._actors if a.ticket == ticket]:
            self._stop(actor)

    def close(self) -> None:
        """Stop every actor; the cluster stays."""
        for actor in list(self._actors):
            self._stop(actor)
        super().close()

    def _give(self) -> None:
        while self._waiting and (actor := self._idle()):
            actor.ticket, pack = self._waiting.popleft()
            actor.answer = actor.handle.do.remote(json.dumps(pack.to_json()))
            actor.time_limit = pack.time_limit
            actor.watch.begin(pack.time_limit)

    def _idle(self) -> Actor | None:
        free = next((actor for actor in self._actors if actor.ticket is None), None)
        if free is None and len(self._actors) < self.slots:
            remote = self._ray.remote(resolve_name(ACTOR))
            options = {"num_cpus": 1, "num_gpus": self._gpus, "max_concurrency": 2, "scheduling_strategy": "SPREAD"}
            free = Actor(remote.options(**options).remote(self._recipe))
            self._actors.append(free)
        return free

    def _of(self, actor: Actor) -> Event | None:
        """What has come of what an actor does, if it has ended."""
        assert actor.ticket is not None
        ticket = actor.ticket
        if self._ray.wait([actor.answer], timeout=0)[0]:
            try:
                given = json.loads(self._ray.get(actor.answer))
            except self._ray.exceptions.RayError:
                self._stop(actor)
                return Lost(ticket, GONE)
            if "unopened" in given:
                raise AutopeftError(given["unopened"])
            actor.ticket = None
            return Finished(ticket, given)
        self._look(actor)
        if actor.watch.gives_up():
            self._stop(actor)
            return Lost(ticket, actor.watch.said, died=False)
        return None

    def _look(self, actor: Actor) -> None:
        """Ask now and then whether an actor goes on, and take its answer to the last question."""
        if actor.alive is not None and self._ray.wait([actor.alive], timeout=0)[0]:
            reference, actor.alive = actor.alive, None
            try:
                beats = self._ray.get(reference)
            except self._ray.exceptions.RayError:
                return  # what it does will end with the same error
            if beats < 0:
                actor.watch.begin(actor.time_limit)
            elif beats != actor.beats:
                actor.watch.beat()
            actor.beats = beats
        if actor.alive is None and steady() > actor.asked + LOOK:
            actor.asked, actor.alive = steady(), actor.handle.signs_of_life.remote()

    def _stop(self, actor: Actor) -> None:
        self._actors.remove(actor)
        self._ray.kill(actor.handle)


def started_ray(address: str) -> Any:
    """The module, connected. Raises AutopeftError if it is not installed or no cluster is at the address."""
    try:
        import ray
    except ImportError:
        raise AutopeftError('Ray is not installed: pip install "autopeft[ray]".') from None
    if not ray.is_initialized():
        try:
            reach(address)
            ray.init(address=address, log_to_driver=False, configure_logging=False)
        except (OSError, RuntimeError, ValueError) as error:
            said = str(error).splitlines()[0].split(". ")[0]
            raise AutopeftError(f"No Ray cluster is at {address} ({said}): start one with ray start --head.") from None
    return ray


def reach(address: str) -> None:
    """See whether anything listens at HOST:PORT, which Ray itself tries for minutes. Raises OSError."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), CONNECT).close()
