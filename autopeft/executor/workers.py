"""Orders -> answers, by an executor: each pack is given to it, and once more where its worker was lost."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from autopeft.base.errors import AutopeftError
from autopeft.base.interrupt import raise_if_interrupted
from autopeft.executor.local import Local, on_cores, on_devices
from autopeft.executor.order import Answer, Order, packs_of
from autopeft.executor.seam import ATTEMPTS, Event, Executor, Lost, Pack, Recipe, Ticket
from autopeft.executor.time_limit import TimeLimit
from autopeft.executor.watch import POLL
from autopeft.proxy.job import Job

if TYPE_CHECKING:
    from autopeft.proxy.trainer import Trainer

MOST = 8  # worker processes, however many cores there are
GAIN = 1.1  # how much more work side by side must finish to be chosen
WORTH = (
    60.0  # seconds that one process must be expected to take for others to be started: each of them loads everything
)


@dataclass(frozen=True)
class Stage:
    """Orders that must all have been answered before whoever wants them goes on.

    Attributes:
        orders: as many as are wanted.
        take: told the number of an order and its answer, as soon as there is one.
    """

    orders: Sequence[Order]
    take: Callable[[int, Answer], None]


Stages: TypeAlias = Iterator[Stage]  # asked for the next one once the last one's orders are answered


@dataclass
class Lane:
    """Stages that follow each other, beside those of other lanes."""

    stages: Stages
    take: Callable[[int, Answer], None] = lambda *_: None
    left: int = 0  # orders of this stage that have no answer yet


@dataclass
class Task:
    """A pack on its way to answers."""

    lane: Lane
    numbers: list[int]  # of its orders
    pack: Pack


class Workers:
    """Runs orders on an executor.

    Args:
        trainer: of this process, on the same recipe.
        executor: who trains (default: this process).
        seconds_per_step: the timing by which the executor was chosen, empty where nothing was timed.
    """

    def __init__(
        self, trainer: Trainer, executor: Executor | None = None, seconds_per_step: Mapping[str, float] | None = None
    ) -> None:
        self.trainer, self.seconds_per_step = trainer, dict(seconds_per_step or {})
        self.executor = executor or inline(trainer)
        self.head_learning_rate = trainer.head_learning_rate
        self._time_limit = TimeLimit(max(self.seconds_per_step.values(), default=0.0))

    @property
    def workers(self) -> int:
        """How many packs are trained at the same time."""
        return self.executor.slots

    def run(self, asked: Sequence[Order | Job]) -> Iterator[tuple[int, Answer]]:
        """Train orders, or jobs of which no state is kept.

        Yields:
            (number of the order, what it gave), as they end.

        Raises:
            AutopeftError: an order makes no sense, or workers cannot open the recipe.
        """
        orders = [Order(x) if isinstance(x, Job) else x for x in asked]
        only = iter([iter([Stage(orders, lambda *_: None)])])
        yield from self._answers(lambda: next(only, None))

    def run_stages(self, more: Callable[[], Stages | None]) -> None:
        """Train what stages want, those of several lanes side by side.

        Args:
            more: asked for another lane whenever a slot would be idle; None if there is none now.

        Raises:
            AutopeftError: as `run` does.
        """
        for _ in self._answers(more):
            pass

    def _answers(self, more: Callable[[], Stages | None]) -> Iterator[tuple[int, Answer]]:
        """The answers to the orders of all lanes, as they end.

        A pack whose worker was lost is tried again. Where the worker died that is when nothing else is left to do, with
        nothing beside it, for it may have needed more memory than was left; until then no lane is begun.
        """
        waiting, again, begun = deque[Task](), deque[Task](), dict[Ticket, Task]()
        try:
            while True:
                while len(begun) < self.workers:
                    if waiting:
                        self._submit(waiting.popleft(), begun)
                    elif not again and (stages := more()) is not None:
                        waiting.extend(self._next(Lane(stages)))
                    else:
                        break
                if again and not begun:
                    self._submit(again.popleft(), begun)
                if not begun:
                    return
                raise_if_interrupted()  # what arrives while a process is started may have been dropped
                for event in self.executor.events(POLL):
                    task = begun.pop(event.ticket)
                    if isinstance(event, Lost) and task.pack.attempt < ATTEMPTS:
                        task.pack = replace(task.pack, attempt=task.pack.attempt + 1)
                        (again if event.died else waiting).append(task)
                        continue
                    answers = answers_of(event, len(task.numbers))
                    for number, order, answer in zip(task.numbers, task.pack.orders, answers):
                        self._time_limit.see(order, answer)
                        task.lane.take(number, answer)
                        yield number, answer
                    task.lane.left -= len(task.numbers)
                    if not task.lane.left:
                        waiting.extendleft(reversed(self._next(task.lane)))
        except BaseException:  # whoever stops asking, too
            self.executor.close()
            raise

    def _next(self, lane: Lane) -> list[Task]:
        """The packs of a lane's next stage that wants anything; none where it has ended."""
        stage = next((s for s in lane.stages if s.orders), None)
        if stage is None:
            return []
        lane.take, lane.left = stage.take, len(stage.orders)
        packs = [(group, tuple(stage.orders[i] for i in group)) for group in packs_of(stage.orders)]
        return [Task(lane, group, Pack(pack, self.head_learning_rate)) for group, pack in packs]

    def _submit(self, task: Task, begun: dict[Ticket, Task]) -> None:
        pack = replace(task.pack, time_limit=self._time_limit.of(task.pack))
        begun[self.executor.submit(pack)] = task

    def close(self) -> None:
        """Stop at once what is still running."""
        self.executor.close()


def inline(trainer: Trainer) -> Executor:
    """The executor of this process, which loads torch."""
    from autopeft.executor.inline import Inline

    return Inline(trainer)


def answers_of(event: Event, number: int) -> list[Answer]:
    """What the orders of a pack gave. Raises AutopeftError where it was refused."""
    if isinstance(event, Lost):
        return [Answer(None, None, event.reason)] * number
    if "refused" in event.given:
        raise AutopeftError(event.given["refused"])
    return [Answer.from_json(data) for data in event.given["answers"]]


def choose_workers(
    trainer: Trainer,
    recipe: Recipe,
    probe: Job,
    wanted: int | None = None,
    expected: Callable[[float], float] | None = None,
) -> Workers:
    """Time one process against workers side by side. On CUDA a worker for each device: what fills one is packing.

    Args:
        trainer: of this process; trains the probe.
        recipe: what workers open.
        probe: the job whose steps are timed.
        wanted: take this many workers and time nothing.
        expected: seconds of a step -> seconds that one process would take for everything (default: long).

    Returns:
        The workers, with the seconds per step of one process with every core and of workers side by side.
    """
    number = wanted or fixed_workers(trainer)
    if number == 1:
        return Workers(trainer)
    cuda = on_cuda(trainer)
    local = Local(on_devices(number) if cuda else on_cores(number, cores()))
    local.start(recipe)
    if wanted or cuda:
        return Workers(trainer, local)
    alone = trainer.seconds_per_step(probe)
    timing = {"1 process": alone}
    if expected is None or expected(alone) > WORTH:
        pack = Pack((Order(probe),), trainer.head_learning_rate, "time")
        together = max(seconds_side_by_side(local, pack)) / number
        timing[f"{number} workers"] = together
        if GAIN * together < alone:
            return Workers(trainer, local, timing)
    local.close()
    return Workers(trainer, None, timing)


def seconds_side_by_side(executor: Executor, pack: Pack) -> list[float]:
    """Seconds of a step in each worker while the others do the same. Raises AutopeftError if one is lost."""
    left = {executor.submit(pack) for _ in range(executor.slots)}
    found = []
    while left:
        for event in executor.events(POLL):
            left.remove(event.ticket)
            if isinstance(event, Lost):
                raise AutopeftError(
                    f"A worker process was lost while steps were timed: {event.reason}; try --workers 1."
                )
            found.append(event.given["seconds"])
    return found


def fixed_workers(trainer: Trainer) -> int:
    """The most workers that make sense here, which no timing decides: one per CUDA device, or else per core."""
    import torch

    return torch.cuda.device_count() if on_cuda(trainer) else min(cores(), MOST)


def on_cuda(trainer: Trainer) -> bool:
    """Whether the backbone lies on a CUDA device."""
    return next(trainer.backbone.model.parameters()).is_cuda


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
