"""What `tests/faulty` has written down of the steps that were trained: who trains now, and what was trained again."""

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RECENT = 4.0  # seconds


@dataclass(frozen=True)
class Step:
    """One step of a run."""

    process: int
    attempt: int
    number: int
    when: float
    run: str


def steps_in(folder: Path) -> Iterator[Step]:
    """Every step; a line that a kill cut off is none."""
    for file in folder.iterdir():
        for line in file.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                attempt, number, when, run = line.split()
                yield Step(int(file.name), int(attempt), int(number), float(when), run)


def training_now(folder: Path) -> list[int]:
    """The processes that are at a first attempt."""
    found = []
    for file in folder.iterdir():
        lines = file.read_text().splitlines()[-1:] if time.time() - file.stat().st_mtime < RECENT else []
        if lines and lines[0].startswith("1 "):
            found.append(int(file.name))
    return found


def trained_again(folder: Path, since: float) -> list[tuple[int, float]]:
    """(steps, seconds) of each time that a run went on from before where it had been.

    Args:
        folder: the log.
        since: `time.time()` from which it counts.
    """
    runs, found = defaultdict(list), []
    for step in sorted((s for s in steps_in(folder) if s.when >= since), key=lambda s: s.when):
        runs[step.run].append(step)
    for steps in runs.values():
        passed: dict[int, float] = {}  # number -> when, in the latest passage
        for step in steps:
            if step.number in passed:
                again = {n: t for n, t in passed.items() if n >= step.number}
                began = passed.get(step.number - 1, passed[step.number])
                found.append((len(again), max(again.values()) - began))
                passed = {n: t for n, t in passed.items() if n < step.number}
            passed[step.number] = step.when
    return found
