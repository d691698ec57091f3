"""A search as small as it can be, through the command line in a process of its own."""

import re
import subprocess
import sys
from dataclasses import replace

SMALL = [
    "--train-rows",
    "200",
    "--validation-rows",
    "60",
    "--test-rows",
    "60",
    "--max-length",
    "32",
    "--full-steps",
    "8",
    "--cohort",
    "2",
    "--batch-size",
    "8",
    "--seeds",
    "3",
    "--finalists",
    "1",
    "--precision",
    "fp32",
    "--budget",
    "0.5%",
]

SHORTEST = [
    "search",
    "--cohort",
    "2",
    "--full-steps",
    "4",
    "--train-rows",
    "32",
    "--validation-rows",
    "24",
    "--test-rows",
    "24",
    "--max-length",
    "12",
    "--batch-size",
    "8",
    "--seeds",
    "1",
    "--finalists",
    "1",
    "--no-ceiling",
    "--deterministic",
    "--rates",
    "1",
    "--budget",
    "0.5%",
    "--importance",
    "variance",
]


def autopeft(*arguments, check=0, **kwargs):
    """Run the command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "autopeft", *map(str, arguments)], capture_output=True, text=True, **kwargs
    )
    assert done.returncode == check, done.stderr
    assert "Traceback" not in done.stderr
    return done


def answer(result):
    """What a study says, without timings, as text: what is not a number equals itself.

    A trial that a kill left half asked is closed and asked for again, so trials are numbered without such ones.
    """

    def timeless(curve):
        return curve and replace(curve, seconds=0, peak_memory_bytes=0, measured={})

    def renumbered(told):
        return re.sub(r"\btrial (\d+)", lambda found: f"trial {numbers[int(found[1])]}", repr(told))

    asked = [t for t in result.data.trials if t.state != "interrupted"]
    numbers = {t.number: n for n, t in enumerate(asked)}
    trials = [(n, t.state, t.configuration, timeless(t.curve)) for n, t in enumerate(asked)]
    outcomes = [(o.name, o.configuration, tuple(map(timeless, o.curves))) for o in result.data.outcomes]
    front = map(renumbered, result.front.points)
    return repr((trials, sorted(map(renumbered, outcomes)), result.data.scores, result.data.task, *front))
