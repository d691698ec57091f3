"""Build a tabular benchmark: train a spread sample, run by run. The same command resumes where the last one stopped."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers.utils import logging as transformers_logging

from autopeft.base.errors import AutopeftError
from autopeft.base.files import write_whole
from autopeft.base.interrupt import interrupts_noted
from autopeft.base.lock import one_writer
from autopeft.base.progress import Progress
from autopeft.importance import score_layers
from autopeft.methods import count
from autopeft.prepare import Prepared
from autopeft.proxy.job import Job
from autopeft.resident import environment, load_resident, load_workers
from autopeft.space.spread_sample import spread_sample
from autopeft.tabular.benchmark import COLUMNS, TabularBenchmark, lines_of

if TYPE_CHECKING:
    from autopeft.backbone.loading import Backbone
    from autopeft.proxy.precision import Precision
    from autopeft.tasks.tokens import TokenisedTask

HALVINGS = 4  # rungs below the full length, each half of the next
SCORERS = ("trace", "gradient")  # whose layer scores are kept with a benchmark, so that priors can be replayed
IDENTITY: tuple[str, ...] = (  # fields of the spec that make a benchmark this one and no other
    "model",
    "data",
    "train_rows",
    "validation_rows",
    "test_rows",
    "max_length",
    "space",
    "budget",
    "seed",
    "full_steps",
    "batch_size",
    "head_learning_rate",
    "metric",
)


def rungs_of(steps: int) -> tuple[int, ...]:
    """The steps of the rungs of a run: 96 -> (6, 12, 24, 48, 96)."""
    return tuple(sorted({max(1, steps >> i) for i in range(HALVINGS + 1)}))


def build_benchmark(prepared: Prepared, path: Path, configurations: int, progress: Progress) -> TabularBenchmark:
    """Train every configuration with every seed and keep what each rung measured.

    All configurations are trained with the first seed, then all with the next. What `path` already holds is kept.

    Args:
        prepared: The study's data, sizes and space.
        path: The CSV file to begin or to resume.
        configurations: Size of the sample.
        progress: Where notes and steps are printed.

    Raises:
        AutopeftError: The file holds the benchmark of another study.
    """
    with interrupts_noted(), one_writer(path.with_suffix(".lock"), f"The benchmark {path}"):
        train_missing(prepared, path, configurations, progress)
    return TabularBenchmark.read(path)


def train_missing(prepared: Prepared, path: Path, configurations: int, progress: Progress) -> None:
    """Train what a benchmark lacks. Raises AutopeftError if it is the benchmark of another study."""
    spec = prepared.spec
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    stored = stored_facts(prepared, path)
    opened = load_resident(prepared, stored, progress)
    if not stored:
        begin(prepared, path, *opened)
    drop_partial_run(path)
    sample = spread_sample(prepared.space(), configurations, spec.seed)
    finished = TabularBenchmark.read(path).finished()
    runs = [(c, s) for s in range(spec.seed, spec.seed + spec.seeds) for c in sample]
    left = [(c, s) for c, s in runs if (c.key, s) not in finished]
    rungs = rungs_of(spec.steps)
    jobs = [Job(c, s, spec.steps, spec.steps, rungs, test=True) for c, s in left]
    workers = load_workers(prepared, opened, progress)
    progress.stage("benchmark", len(runs), len(runs) - len(left))
    try:
        for number, done in workers.run(jobs):
            configuration, seed = left[number]
            if done.curve is None:
                progress.step(f"{configuration}, seed {seed} failed: {done.failure}")
                continue
            append(path, lines_of(configuration, count(configuration, prepared.shapes), done.curve))
            progress.step(f"{configuration}, seed {seed}: test {spec.metric} {done.curve.test_score:.3f}")
    finally:
        workers.close()
        progress.close()


def stored_facts(prepared: Prepared, path: Path) -> dict[str, Any] | None:
    """Read what a benchmark to be resumed is of; None for a new one.

    Raises:
        AutopeftError: It is the benchmark of another study.
    """
    about = path.with_suffix(".json")
    if not about.is_file():
        return None
    stored = json.loads(about.read_text(encoding="utf-8"))
    check_same(prepared, stored, path)
    return stored


def check_same(prepared: Prepared, stored: Mapping[str, Any], path: Path) -> None:
    """Raise AutopeftError if a file holds the runs of another study than the one that is asked for."""
    for key in IDENTITY:
        asked = getattr(prepared.spec, key)
        if stored["spec"].get(key) != asked:
            raise AutopeftError(
                f"{path} is a benchmark with {key}={stored['spec'].get(key)!r} and this command asks for "
                f"{key}={asked!r}: give the same options to resume it, or another file with --out."
            )


def begin(
    prepared: Prepared, path: Path, backbone: "Backbone", tokenised: "TokenisedTask", precision: "Precision"
) -> None:
    """Write the header of the CSV file, and the JSON file that says what the benchmark is of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "spec": prepared.spec.model_dump(),
        "space": prepared.space_file.model_dump(),
        "task": prepared.task.summary(),
        "shapes": prepared.shapes.to_json(),
        "budget": prepared.budget,
        "scores": {s: score_layers(s, backbone, tokenised, seed=prepared.spec.seed).to_json() for s in SCORERS},
        "environment": environment(precision),
    }
    write_whole(path, ",".join(COLUMNS) + "\n")
    write_whole(path.with_suffix(".json"), json.dumps(facts, indent=1))


def append(path: Path, text: str) -> None:
    """Add the lines of a run and flush them to disk."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def drop_partial_run(path: Path) -> None:
    """Remove what a kill left of a run: the lines after the last one that carries a test score."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    place = COLUMNS.index("peak_memory_bytes") - COLUMNS.index("test_score")
    whole = [
        i for i, x in enumerate(lines) if i == 0 or (x.endswith("\n") and x.rstrip("\n").rsplit(",", place + 1)[1])
    ]
    if whole[-1] + 1 < len(lines):
        write_whole(path, "".join(lines[: whole[-1] + 1]))
