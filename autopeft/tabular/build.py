"""Build a table of full-length truths: train a spread sample, run by run; a rerun goes on where the last one stopped."""

import json
import os
from pathlib import Path

from transformers.utils import logging as transformers_logging

from autopeft.base.errors import AutopeftError
from autopeft.base.files import write_whole
from autopeft.base.progress import Progress
from autopeft.importance import score_layers
from autopeft.methods import count
from autopeft.prepare import Prepared
from autopeft.proxy.job import Job
from autopeft.tabular.benchmark import COLUMNS, TruthTable, lines_of
from autopeft.tabular.sample import spread_sample
from autopeft.workbench import environment, load_resident, load_workers

HALVINGS = 4  # rungs of a table below the full length, each half of the next
SCORERS = ("trace", "gradient")  # whose layer scores are kept with a table, so that priors can be replayed
OF_THE_TABLE = ("model", "data", "train_rows", "validation_rows", "test_rows", "max_length", "space", "budget", "seed")
OF_THE_TABLE += ("full_steps", "batch_size", "head_learning_rate", "metric")  # what makes it this table and no other


def rungs_of(steps: int) -> tuple[int, ...]:
    """96 -> (6, 12, 24, 48, 96)."""
    return tuple(sorted({max(1, steps >> i) for i in range(HALVINGS + 1)}))


def build_table(prepared: Prepared, path: Path, configurations: int, progress: Progress) -> TruthTable:
    """Train every configuration with every seed (all with the first seed, then all with the next) and keep every rung.

    Raises AutopeftError when the file holds another study's table.
    """
    spec = prepared.spec
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    stored = stored_facts(prepared, path)
    backbone, tokenised, precision = load_resident(prepared, stored, progress)
    if not stored:
        begin(prepared, path, backbone, tokenised, precision)
    drop_partial_run(path)
    sample = spread_sample(prepared.space(), configurations, spec.seed)
    finished = TruthTable.read(path).finished()
    runs = [(c, s) for s in range(spec.seed, spec.seed + spec.seeds) for c in sample]
    left = [(c, s) for c, s in runs if (c.key, s) not in finished]
    marks = rungs_of(spec.full_steps)
    jobs = [Job(c, s, spec.full_steps, spec.full_steps, marks, test=True) for c, s in left]
    workers = load_workers(prepared, backbone, tokenised, progress)
    progress.stage("table", len(runs), len(runs) - len(left))
    try:
        for number, done in workers.run(jobs):
            configuration, seed = left[number]
            if done.failure:
                progress.step(f"{configuration}, seed {seed} failed: {done.failure}")
                continue
            append(path, lines_of(configuration, count(configuration, prepared.shapes), done.curve))
            progress.step(f"{configuration}, seed {seed}: test {spec.metric} {done.curve.test_score:.3f}")
    finally:
        workers.close()
        progress.close()
    return TruthTable.read(path)


def stored_facts(prepared: Prepared, path: Path) -> dict | None:
    """What stands beside a table that is to be gone on with, None for a new one. Raises if it is another study's."""
    about = path.with_suffix(".json")
    if not about.is_file():
        return None
    stored = json.loads(about.read_text(encoding="utf-8"))
    for key in OF_THE_TABLE:
        asked = getattr(prepared.spec, key)
        if stored["spec"].get(key) != asked:
            raise AutopeftError(
                f"{path} is a table with {key}={stored['spec'].get(key)!r} and this command asks for {key}={asked!r}: "
                "give the same options to go on with it, or another file with --out."
            )
    return stored


def begin(prepared: Prepared, path: Path, backbone, tokenised, precision) -> None:
    """Write the head of the table and what it is of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "spec": prepared.spec.model_dump(),
        "task": prepared.task.summary(),
        "shapes": prepared.shapes.to_json(),
        "budget": prepared.budget,
        "scores": {s: score_layers(s, backbone, tokenised, seed=prepared.spec.seed).to_json() for s in SCORERS},
        "environment": environment(precision),
    }
    write_whole(path, ",".join(COLUMNS) + "\n")
    write_whole(path.with_suffix(".json"), json.dumps(facts, indent=1))


def append(path: Path, text: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def drop_partial_run(path: Path) -> None:
    """Take back what a kill left of a run: the lines after the last one that carries a test score."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    place = COLUMNS.index("peak_memory_bytes") - COLUMNS.index("test_score")
    whole = [
        i for i, x in enumerate(lines) if i == 0 or (x.endswith("\n") and x.rstrip("\n").rsplit(",", place + 1)[1])
    ]
    if whole[-1] + 1 < len(lines):
        write_whole(path, "".join(lines[: whole[-1] + 1]))
