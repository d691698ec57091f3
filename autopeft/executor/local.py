"""The executor of one machine: worker processes, each started anew, given one pack after another and watched.

A worker is `python -m autopeft.worker`: it opens the recipe itself and shares nothing with this process, so neither
threads nor a device can be inherited half-way. What its backbone has of a checkpoint in the format in which it stays is
mapped from the file, so that all workers share that memory. A worker that dies or hangs is replaced at once. Lines of
JSON go to its standard input and come from its standard output.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from autopeft.base.errors import AutopeftError
from autopeft.executor.seam import Event, Finished, Lost, Pack, Recipe, Ticket
from autopeft.executor.waiting import Waiting
from autopeft.executor.watch import POLL, Watch

KILLED = "the process that trained it was killed, most likely out of memory"
COMMAND = (sys.executable, "-P", "-m", "autopeft.worker")
STARTS = 2  # workers in a row that may die while they open the recipe
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

Inbox = queue.Queue[tuple["Worker", dict[str, Any] | None]]  # None: its output has ended


class Local(Waiting):
    """Worker processes on this machine.

    Args:
        environments: of each worker, what differs from this process's; as many as there are slots.
        command: that starts a worker.
    """

    def __init__(self, environments: Sequence[Mapping[str, str]], command: Sequence[str] = COMMAND) -> None:
        super().__init__()
        self._environments, self._command = environments, command
        self._recipe: Recipe | None = None
        self._workers: dict[int, Worker] = {}  # slot -> its worker
        self._inbox: Inbox = queue.Queue()
        self._died_opening = 0

    @property
    def slots(self) -> int:
        """How many worker processes there may be."""
        return len(self._environments)

    def start(self, recipe: Recipe) -> None:
        """Workers open the recipe when there is something for them to do."""
        self._recipe = recipe

    def events(self, seconds: float) -> Sequence[Event]:
        """What has ended. Raises AutopeftError if workers cannot open the recipe."""
        found: list[Event] = []
        with suppress(queue.Empty):
            found += self._heard(*self._inbox.get(timeout=min(seconds, POLL)))
            while True:
                found += self._heard(*self._inbox.get_nowait())
        for worker in [w for w in self._workers.values() if w.ticket is not None and w.watch.gives_up()]:
            found += self._lost(worker, worker.watch.said, died=False)
        self._give()
        return found

    def cancel(self, ticket: Ticket) -> None:
        """Forget a pack; the worker that has begun it is stopped."""
        super().cancel(ticket)
        for slot, worker in list(self._workers.items()):
            if worker.ticket == ticket:
                self._workers.pop(slot).kill()

    def close(self) -> None:
        """Stop every worker."""
        for worker in self._workers.values():
            worker.kill()
        self._workers.clear()
        super().close()

    def _give(self) -> None:
        """Give every idle worker something to do, and start as many as are missing."""
        for slot, environment in enumerate(self._environments):
            if self._waiting and slot not in self._workers:
                assert self._recipe is not None, "start comes first"
                self._workers[slot] = Worker(slot, self._command, environment, self._recipe, self._inbox)
            if self._waiting and self._workers[slot].ticket is None:
                self._workers[slot].give(*self._waiting.popleft())

    def _heard(self, worker: Worker, said: dict[str, Any] | None) -> list[Event]:
        if self._workers.get(worker.slot) is not worker:
            return []  # it was stopped
        if said is None:
            return self._lost(worker, KILLED)
        worker.watch.beat()
        if "refused" in said:
            raise AutopeftError(said["refused"])
        if "opened" in said:
            worker.opened, self._died_opening = True, 0
            worker.begin()
        if "given" in said:
            ticket, worker.ticket = worker.ticket, None
            assert ticket is not None
            return [Finished(ticket, said["given"])]
        return []

    def _lost(self, worker: Worker, reason: str, died: bool = True) -> list[Event]:
        """A worker is gone; one that had not opened the recipe has lost nothing, and another one tries."""
        del self._workers[worker.slot]
        code = worker.kill()
        if worker.opened:
            return [Lost(worker.ticket, reason, died)] if worker.ticket is not None else []
        self._died_opening += 1
        if self._died_opening >= STARTS:
            raise AutopeftError(
                f"The worker processes end while they load the model (exit code {code}): there may be too little memory "
                "for as many; try --workers 1."
            )
        if worker.ticket is not None and worker.pack is not None:
            self._waiting.appendleft((worker.ticket, worker.pack))
        return []


class Worker:
    """One worker process.

    Args:
        slot: its number.
        command: that starts it.
        environment: of its own.
        recipe: what it opens.
        inbox: where what it says is put.
    """

    def __init__(
        self, slot: int, command: Sequence[str], environment: Mapping[str, str], recipe: Recipe, inbox: Inbox
    ) -> None:
        self.slot, self.opened = slot, False
        self.ticket: Ticket | None = None
        self.pack: Pack | None = None
        self.watch = Watch()
        group = {"start_new_session": True} if os.name == "posix" else {"creationflags": 0x200}  # a group of its own
        paths = os.pathsep.join(p or str(Path.cwd()) for p in sys.path)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": paths, **environment},
            **group,
        )
        self.say(recipe.to_json())
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()

    def _listen(self, inbox: Inbox) -> None:
        with suppress(ValueError):  # closed, or a line that a kill cut off
            for line in self.process.stdout or ():
                inbox.put((self, json.loads(line)))
        inbox.put((self, None))

    def say(self, data: dict[str, Any]) -> None:
        """Send it a line; if it has died `_listen` finds out."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.write(json.dumps(data) + "\n")
            self.process.stdin.flush()

    def give(self, ticket: Ticket, pack: Pack) -> None:
        """Let it do something."""
        self.ticket, self.pack = ticket, pack
        self.begin()
        self.say(pack.to_json())

    def begin(self) -> None:
        """Let the time of what it does begin: what it has yet to open does not count."""
        self.watch.begin(self.pack.time_limit if self.pack and self.opened else None)

    def kill(self) -> int:
        """End it; gives its exit code."""
        self.process.kill()
        with suppress(OSError):
            assert self.process.stdin is not None
            self.process.stdin.close()
        return self.process.wait()


def on_cores(workers: int, cores: int) -> list[dict[str, str]]:
    """Environments of workers that share the cores of a CPU."""
    threads = str(max(1, cores // workers))
    return [dict.fromkeys(THREADS, threads) | {"CUDA_VISIBLE_DEVICES": ""} for _ in range(workers)]


def on_devices(devices: int) -> list[dict[str, str]]:
    """Environments of workers with a CUDA device each, of those that this process sees."""
    seen = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    names = seen[:devices] or [str(number) for number in range(devices)]
    return [{"CUDA_VISIBLE_DEVICES": name} for name in names]
