"""Build a table of full-length truths: train a spread sample, run by run; a rerun goes on where the last one stopped."""

import json
import os
from pathlib import Path

import torch
from transformers.utils import logging as transformers_logging

from autopeft.errors import AutopeftError
from autopeft.importance import score_layers
from autopeft.methods import count
from autopeft.prepare import Prepared
from autopeft.progress import Progress
from autopeft.proxy.training import Diverged, train
from autopeft.study.folder import write_whole
from autopeft.tables.sample import spread_sample
from autopeft.tables.truth_table import COLUMNS, TruthTable, lines_of
from autopeft.workbench import environment, load_resident

HALVINGS = 4  # rungs of a table below the full length, each half of the next


def rungs_of(steps: int) -> tuple[int, ...]:
    """96 -> (6, 12, 24, 48, 96)."""
    return tuple(sorted({max(1, steps >> i) for i in range(HALVINGS + 1)}))


def build_table(prepared: Prepared, path: Path, configurations: int, progress: Progress) -> TruthTable:
    """Train every configuration with every seed (all with the first seed, then all with the next) and keep every rung.

    Raises AutopeftError when the file holds another study's table.
    """
    spec, shapes = prepared.spec, prepared.shapes
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    path.parent.mkdir(parents=True, exist_ok=True)
    about = path.with_suffix(".json")
    stored = json.loads(about.read_text(encoding="utf-8")) if about.is_file() else None
    if stored and stored["spec"] != spec.model_dump():
        raise AutopeftError(f"{path} is a table of another study: choose another file with --out.")
    backbone, tokenised, precision = load_resident(prepared, stored, progress)
    if not stored:
        scores = {s: score_layers(s, backbone, tokenised, seed=spec.seed).to_json() for s in ("trace", "gradient")}
        facts = {
            "spec": spec.model_dump(),
            "task": prepared.task.summary(),
            "shapes": shapes.to_json(),
            "budget": prepared.budget,
            "scores": scores,
            "environment": environment(precision),
        }
        write_whole(path, ",".join(COLUMNS) + "\n")
        write_whole(about, json.dumps(facts, indent=1))
    drop_partial_run(path)
    sample = spread_sample(prepared.space(), configurations, spec.seed)
    finished = TruthTable.read(path).finished()
    runs = [(c, s) for s in range(spec.seed, spec.seed + spec.seeds) for c in sample]
    left = [(c, s) for c, s in runs if (c.key, s) not in finished]
    progress.stage("table", len(runs), len(runs) - len(left))
    for configuration, seed in left:
        try:
            curve = train(
                backbone,
                tokenised,
                configuration,
                seed=seed,
                steps=spec.full_steps,
                marks=rungs_of(spec.full_steps),
                batch_size=spec.batch_size,
                head_learning_rate=spec.head_learning_rate,
                test=True,
            )
        except (Diverged, torch.OutOfMemoryError) as error:
            progress.step(f"{configuration}, seed {seed}: failed, {error}")
            continue
        append(path, lines_of(configuration, count(configuration, shapes), curve))
        progress.step(f"{configuration}, seed {seed}: test {spec.metric} {curve.test_score:.3f} in {curve.seconds:.0f} s")
    progress.close()
    return TruthTable.read(path)


def append(path: Path, text: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def drop_partial_run(path: Path) -> None:
    """Take back what a kill left of a run: the lines after the last one that carries a test score."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    place = COLUMNS.index("peak_memory_bytes") - COLUMNS.index("test_score")
    whole = [i for i, x in enumerate(lines) if i == 0 or (x.endswith("\n") and x.rstrip("\n").rsplit(",", place + 1)[1])]
    if whole[-1] + 1 < len(lines):
        write_whole(path, "".join(lines[: whole[-1] + 1]))
