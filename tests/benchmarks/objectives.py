"""Searches for the front of step time against accuracy with different layer priors, in equal time.

    python tests/benchmarks/objectives.py quickstart --seconds 150 --seeds 1 --out runs/priors.jsonl
    python tests/benchmarks/objectives.py smollm2 --seconds 120 --seeds 1 --out runs/priors.jsonl
    python tests/benchmarks/objectives.py print --out runs/priors.jsonl

Only the trials run: no finalists, no baselines. Time counts from when the backbone is loaded, so scoring the layers is
part of it. Every search is a line of the file; the same command goes on with what is missing. The front is that of the
trials that ended in time, its hypervolume is in (step time as a ratio to uniform LoRA, validation accuracy), up to a
step as long as uniform LoRA's and down to what nothing trained scores; nothing may run beside it.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

from autopeft.base.pareto import hypervolume, non_dominated
from autopeft.base.progress import Progress
from autopeft.front.intervals import over_seeds
from autopeft.prepare import prepare
from autopeft.study.spec import StudySpec
from autopeft.study.stored import record
from autopeft.workbench import open_workbench

PRIORS = ("none", "trace", "saving")
COMMON = {"objectives": "step-time,accuracy", "trials": 500, "budget": "1%", "prefix_cache": "2GB"}
STUDIES = {
    "quickstart": {"study": "quickstart"},
    "smollm2": {
        "model": "smollm2-135m",
        "data": "openbookqa",
        "task": "choice",
        "space": "freeze",
        "max_length": 40,
        "batch_size": 4,
        "train_rows": 400,
        "validation_rows": 48,
        "test_rows": 20,
        "full_steps": 16,
        "cohort": 3,
    },
}
NOTHING = {"quickstart": 0.5, "smollm2": 0.25}  # the accuracy of guessing
SLOWEST = 1.0  # step time of uniform LoRA itself


def search(study: str, prior: str, seed: int, seconds: float) -> dict:
    """Run the trials of one search for so many seconds: (seconds, step time, accuracy, steps, layers) of each."""
    with tempfile.TemporaryDirectory() as folder:
        spec = StudySpec.read(**STUDIES[study], **COMMON, importance=prior, seed=seed, timeout=seconds)
        prepared = prepare(spec)
        bench = open_workbench(prepared, Path(folder) / "study", Timed())
        began = bench.progress.began
        left = seconds - (time.time() - began)
        halving = bench.trials.halving
        halving = replace(halving, spec=halving.spec.model_copy(update={"timeout": max(1.0, left)}))
        replace(bench.trials, halving=halving).run(lambda _: None)
        found = []
        for trial in bench.study.get_trials(deepcopy=False):
            ended, seen = trial.datetime_complete, record(trial)
            if isinstance(ended, datetime) and seen.curve and seen.state == "complete":
                values = prepared.objectives.values(seen)
                if values:
                    layers = list(seen.configuration.layers)
                    found.append([ended.timestamp() - began, values["step-time"], values["accuracy"], layers])
        total = len(bench.study.get_trials(deepcopy=False))
        bench.close()
    return {"trials": total, "complete": found, "scoring": seconds - left}


class Timed(Progress):
    """Notes when the backbone is there: from then on the time counts."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.began = time.time()

    def note(self, text: str) -> None:
        """The last note before the layers are scored says how it is trained."""
        if text.startswith("Training in"):
            self.began = time.time()


def volume(study: str, line: dict) -> float:
    """The hypervolume of the trials that ended in time."""
    points = [[time_, -score] for at, time_, score, _ in line["complete"] if at <= line["seconds"]]
    return hypervolume(np.array(points).reshape(-1, 2), [SLOWEST, -NOTHING[study]])


def show(lines: list[dict]) -> None:
    """One row per study and prior."""
    for study in STUDIES:
        for prior in PRIORS:
            mine = [x for x in lines if (x["study"], x["prior"]) == (study, prior)]
            if not mine:
                continue
            inside = over_seeds([volume(study, x) for x in mine])
            points = [np.array([p[1:3] for p in x["complete"] if p[0] <= x["seconds"]]).reshape(-1, 2) for x in mine]
            sizes = [int(non_dominated(p * [1, -1]).sum()) for p in points]
            best = [p[:, 1].max(initial=0.0) for p in points]
            ended = np.mean([len(x["complete"]) for x in mine])
            print(
                f"| {study} | {prior} | {len(mine)} | {np.mean([x['scoring'] for x in mine]):.1f} | "
                f"{np.mean([x['trials'] for x in mine]):.0f} ({ended:.0f}) | {inside.mean:.4f} ± {inside.half:.4f} | "
                f"{np.mean(sizes):.1f} | {np.mean(best):.3f} |"
            )


def main() -> None:
    """Run what is missing, then print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=[*STUDIES, "print"])
    parser.add_argument("--seconds", type=float, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.loads(x) for x in arguments.out.read_text().splitlines()] if arguments.out.is_file() else []
    done = {(x["study"], x["prior"], x["seed"], x["seconds"]) for x in lines}
    for seed in range(arguments.seeds if arguments.study != "print" else 0):
        for prior in PRIORS:
            key = (arguments.study, prior, seed, arguments.seconds)
            if key in done:
                continue
            line = dict(zip(("study", "prior", "seed", "seconds"), key)) | search(*key)
            with arguments.out.open("a") as file:
                file.write(json.dumps(line) + "\n")
            lines.append(line)
            print(f"{key}: {line['trials']} trials, hypervolume {volume(arguments.study, line):.4f}", flush=True)
    show(lines)


if __name__ == "__main__":
    main()
