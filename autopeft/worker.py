"""A worker: opens a recipe, then does one pack after another. As a process of this machine, or as a Ray actor.

`python -m autopeft.worker` is started by an executor. Lines of JSON come from standard input, the recipe first, and go to
standard output. It ends with its parent.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from traceback import format_exception_only
from typing import IO, TYPE_CHECKING, Any

from autopeft.base.artefacts import Artefacts
from autopeft.base.errors import AutopeftError
from autopeft.executor.seam import Pack, Recipe

if TYPE_CHECKING:
    from autopeft.proxy.trainer import Trainer

BEAT = 1.0  # seconds between two looks at what it does


class RemoteWorker:
    """What a Ray actor runs: opens a recipe with its first pack.

    Args:
        recipe: as JSON.
    """

    def __init__(self, recipe: str) -> None:
        self._recipe = recipe
        self._trainer: Trainer | None = None

    def do(self, pack: str) -> str:
        """What a pack gave, or why the recipe stays "unopened"; all as JSON."""
        if self._trainer is None:
            try:
                self._trainer = open_trainer(Recipe(**json.loads(self._recipe)))
            except Exception as error:
                return json.dumps({"unopened": why_unopened(error)})
        from autopeft.executor.work import do

        return json.dumps(do(self._trainer, Pack.from_json(json.loads(pack))))

    def signs_of_life(self) -> int:
        """How many batches have passed; while it opens the recipe another number each time."""
        from autopeft.proxy.beat import signs_of_life

        return signs_of_life() if self._trainer else -time.monotonic_ns()


class Channel:
    """What this process says: lines on what was its standard output; whatever else is printed goes to standard error."""

    def __init__(self) -> None:
        self._out: IO[str] = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self._lock = threading.Lock()
        os.dup2(2, 1)

    def say(self, data: dict[str, Any]) -> None:
        """One line."""
        try:
            with self._lock:
                self._out.write(json.dumps(data) + "\n")
                self._out.flush()
        except OSError:  # the parent is gone
            os._exit(0)


def main() -> None:
    """Work until the parent closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    channel, lines = Channel(), queue.Queue[str]()
    threading.Thread(target=listen, args=(lines,), daemon=True).start()
    opening = threading.Event()
    threading.Thread(target=beat, args=(channel, opening), daemon=True).start()
    try:
        trainer = open_trainer(Recipe(**json.loads(lines.get())))
    except Exception as error:
        return channel.say({"refused": why_unopened(error)})
    opening.set()
    channel.say({"opened": True})
    from autopeft.executor.work import do

    while True:
        channel.say({"given": do(trainer, Pack.from_json(json.loads(lines.get())))})


def why_unopened(error: Exception) -> str:
    """Why a recipe could not be opened, in a sentence."""
    if isinstance(error, AutopeftError):
        return str(error)
    return f"A worker could not load the study: {format_exception_only(error)[0].splitlines()[0]}"


def listen(lines: queue.Queue[str]) -> None:
    """Take what the parent says; when it is gone so is this process."""
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def beat(channel: Channel, opened: threading.Event) -> None:
    """Say every second that this process goes on, if it does: once it has opened the recipe, if a batch has passed."""
    from autopeft.proxy.beat import signs_of_life

    said = 0
    while True:
        time.sleep(BEAT)
        if not opened.is_set() or signs_of_life() != said:
            said = signs_of_life()
            channel.say({"beat": said})


def open_trainer(recipe: Recipe) -> Trainer:
    """What a recipe describes: the data, the resident backbone, and who trains on it.

    Raises:
        AutopeftError: the data or the versions here are others than those of whoever wrote the recipe, or nothing that
            is written here would be seen there.
    """
    from transformers.utils import logging as transformers_logging

    from autopeft.configuration import Configuration
    from autopeft.proxy.precision import Precision, pin
    from autopeft.resident import open_resident, trainer_of, versions
    from autopeft.study.spec import StudySpec
    from autopeft.tasks import load_task

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    spec = StudySpec(**recipe.spec)
    packing = Path(recipe.folder) if recipe.folder and Path(recipe.folder).is_dir() else None
    if spec.executor == "ray" and recipe.folder and not packing and not spec.artefacts:
        raise AutopeftError(
            f"A worker does not see the study's folder {recipe.folder}: put it where all machines do, or give --artefacts."
        )
    if differs := [p for p, version in versions().items() if recipe.versions.get(p) != version]:
        raise AutopeftError(
            f"A worker has {differs[0]} {versions()[differs[0]]} and the search {recipe.versions.get(differs[0])}: "
            "install the same versions everywhere."
        )
    task = load_task(**spec.task_arguments())
    if task.fingerprint != recipe.data:
        raise AutopeftError(
            f"A worker reads other data from {spec.data} than the search did: give all of them the same."
        )
    if spec.deterministic:
        pin()
    opened = open_resident(spec, task, Precision(**recipe.precision))
    artefacts = Artefacts(recipe.artefacts) if recipe.artefacts else None
    return trainer_of(spec, opened, Configuration.from_json(recipe.uniform_lora), recipe.rows, packing, artefacts)


if __name__ == "__main__":
    main()
