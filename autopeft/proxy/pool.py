"""Worker processes: each is given one pack after another, and watched while it trains.

A worker that dies or hangs is replaced at once, so the others go on at full width. Its pack gets a second attempt when
nothing else is left to do, with nothing beside it, for it may have needed more memory than was left; then it has failed.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from autopeft.base.interrupt import raise_if_interrupted

ATTEMPTS = 2  # at a piece of work
KILLED = "the process that trained it was killed, most likely out of memory"
POLL = 1.0  # seconds between two looks at the workers
SILENCE = 600.0  # seconds without a sign of life after which a worker hangs ...
SLOW = 50.0  # ... or, if that is more, so many times the longest that it has been silent before

_beat: Any = None  # of a worker process


@dataclass(frozen=True)
class Lost:
    """What a piece of work came to whose worker died or hung in every attempt."""

    reason: str


@dataclass
class Task:
    """A piece of work: what a worker calls, and with what."""

    number: int
    call: Callable[[Any, Any], Any]
    argument: Any
    attempts: int = 0


class Pool:
    """Worker processes.

    Args:
        inherited: what each of them has from its start; forked, so nothing is copied.
        workers: how many.
    """

    def __init__(self, inherited: Any, workers: int) -> None:
        self._inherited, self._number = inherited, workers
        self._workers: list[Worker] = []

    def map(self, call: Callable[[Any, Any], Any], arguments: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Call a function in the workers with what they inherited and each of some arguments.

        Args:
            call: of a module, so that it can be named to a worker.
            arguments: each is sent to a worker.

        Yields:
            (number of the argument, what the call gave, or `Lost`), as they end.

        Raises:
            Exception: what a call has raised.
        """
        waiting = deque(Task(number, call, argument) for number, argument in enumerate(arguments))
        again = deque[Task]()
        try:
            while waiting or again or any(worker.task for worker in self._workers):
                self._give(waiting, again)
                raise_if_interrupted()  # what arrives during a fork is dropped
                for worker in self._that_ended():
                    task, found = worker.taken()
                    if not isinstance(found, Lost) or task.attempts == ATTEMPTS:
                        yield task.number, found
                    else:
                        again.append(task)
        finally:
            if any(worker.task for worker in self._workers):
                self.close()

    def _give(self, waiting: deque[Task], again: deque[Task]) -> None:
        """Start what is missing and give every idle worker something to do."""
        wanted = min(self._number, len(waiting) + sum(bool(w.task) for w in self._workers)) or 1
        while len(self._workers) < wanted:
            self._workers.append(Worker(self._inherited))
        for worker in self._workers:
            if waiting and not worker.task:
                worker.give(waiting.popleft())
        if again and not any(worker.task for worker in self._workers):
            self._workers[0].give(again.popleft())

    def _that_ended(self) -> list[Worker]:
        """Workers with a result, and those that died or hang, which are replaced when there is something to do."""
        busy = [worker for worker in self._workers if worker.task]
        ready = wait([x for worker in busy for x in (worker.connection, worker.process.sentinel)], POLL)
        hung = [w for w in busy if w.hangs()]
        ended = [w for w in busy if w.connection in ready or w.process.sentinel in ready or w in hung]
        self._workers = [w for w in self._workers if w not in ended or w.receive()]
        return ended

    def close(self) -> None:
        """Stop at once what is still running."""
        for worker in self._workers:
            worker.kill()
        self._workers = []


class Worker:
    """One worker process.

    Args:
        inherited: what its calls are given first.
    """

    def __init__(self, inherited: Any) -> None:
        fork = get_context("fork")  # not where this is imported: Windows has none
        self.connection, theirs = fork.Pipe()
        self._beat = fork.Value("L", 0, lock=False)
        self.process = fork.Process(target=serve, args=(inherited, theirs, self._beat, os.getpid()), daemon=True)
        self.process.start()
        theirs.close()  # or a worker's death would not end the connection
        self.task: Task | None = None
        self._found: Any = None
        self._seen, self._looked, self._silent, self._longest, self._hung = 0, 0.0, 0.0, 0.0, False

    def give(self, task: Task) -> None:
        """Let it do something."""
        task.attempts += 1
        self.task, self._looked, self._silent, self._longest = task, time.monotonic(), 0.0, 0.0
        with suppress(OSError):  # it died while it was idle: `receive` finds out
            self.connection.send((task.call, task.argument))

    def hangs(self) -> bool:
        """Whether it has shown no sign of life for too long; a time in which this process stood still does not count."""
        now, beat = time.monotonic(), self._beat.value
        passed, self._looked = min(now - self._looked, 5 * POLL), now
        if beat != self._seen:
            self._longest, self._seen, self._silent = max(self._longest, self._silent), beat, 0.0
        self._silent += passed
        self._hung = self._silent > max(SILENCE, SLOW * self._longest)
        return self._hung

    def receive(self) -> bool:
        """Take its result; false if there is none, because it died or hangs, and it is no more."""
        with suppress(EOFError, OSError):
            if self.connection.poll():
                self._found = self.connection.recv()
                return True
        self.kill()
        silent = f"it showed no sign of life for {self._silent:,.0f} s"
        self._found = True, Lost(silent if self._hung else KILLED)
        return False

    def taken(self) -> tuple[Task, Any]:
        """What it did, and what came of it. Raises what the call raised."""
        assert self.task is not None
        task, self.task = self.task, None
        returned, found = self._found
        if not returned:
            raise found
        return task, found

    def kill(self) -> None:
        """End it."""
        self.process.kill()
        self.process.join()
        self.connection.close()


def serve(inherited: Any, connection: Connection, beat: Any, parent: int) -> None:
    """In a worker: do what is asked for until the parent is gone."""
    global _beat
    _beat = beat
    begin(parent)
    while True:
        try:
            call, argument = connection.recv()
        except EOFError:
            os._exit(0)
        try:
            found = True, call(inherited, argument)
        except Exception as error:
            found = False, error
        connection.send(found)


def sign_of_life() -> None:
    """Say that this process goes on, if it is a worker: once for each batch."""
    if _beat is not None:
        _beat.value += 1


def begin(parent: int) -> None:
    """In a worker: one thread (a forked OpenMP can have no more), Ctrl-C left to the parent, and not to outlive it.

    Nor may scikit-learn, by which AdaMSS clusters, see more: it would wait forever for threads of torch's OpenMP in the
    parent. Told to libraries that are loaded and, by the environment, to those that are not yet.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    threadpool_limits(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()


def end_with(parent: int) -> None:
    """End this process once its parent is gone."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
