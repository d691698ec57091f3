"""Kills in the middle of small real searches, which are resumed: what was lost, done twice, or came out otherwise.

    python tests/benchmarks/faults.py [--what driver,worker] [--kills 50] [--folder FOLDER]

Searches with --deterministic, one after the other, each compared with the undisturbed one of the same seed: every curve of
every trial and full-length run, and the front. Half of the kills (SIGKILL) fall into the full-length stage. A driver is killed
and started again; of workers one is killed while its driver goes on.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from small_search import SMALL

from autopeft.report.rows import print_rows
from autopeft.result import Result
from autopeft.study.folder import StudyFolder
from autopeft.study.reading import read_study

OPTIONS = ["--trials", "6", "--cohort", "3", "--rates", "1", "--full-steps", "40", "--no-ceiling", "--deterministic"]
SHORT = {"--seeds": "2", "--finalists": "2"}
WAIT = (1.0, 8.0)  # seconds between a stage's first sign of life and a kill
APART = 15.0  # seconds between two kills of workers, so that no pack is hit twice


@dataclass
class Tally:
    """Of one kind of kill."""

    kills: int = 0
    in_full_length: int = 0
    searches: int = 0
    lost: int = 0
    doubled: int = 0
    different: int = 0


def command(folder: Path, seed: int) -> list[str]:
    small = [SHORT.get(SMALL[i - 1], word) for i, word in enumerate(SMALL)]
    own = [*OPTIONS, "--seed", str(seed), "--workers", "2", "--out", str(folder), "--quiet"]
    return [sys.executable, "-m", "autopeft", "search", *small, *own]


def measured(folder: Path) -> dict:
    """Every curve without its timings, and the front."""
    study = read_study(folder)
    runs = {f"trial {t.number}": t.curve for t in study.trials}
    runs |= {f"{o.name}, {c.seed}": c for o in study.outcomes for c in o.curves}
    found: dict = {name: replace(c, seconds=0, peak_memory_bytes=0) for name, c in runs.items() if c}
    return found | {"front": [p.name for p in Result.open(folder).front.points]}


def finished(folder: Path) -> Counter:
    """Trials and full-length runs that are stored as finished."""
    files = StudyFolder(folder)
    if not files.exists:
        return Counter()
    trials = [("trial", t.number) for t in read_study(folder).trials if t.state in ("complete", "pruned")]
    runs = [(r["name"], r["role"], r["configuration"]["learning_rate"], r["curve"]["seed"]) for r in files.runs()]
    return Counter([*trials, *runs])


def in_stage(folder: Path, full_length: bool) -> bool:
    """Whether a search has come so far."""
    return (folder / ("outcomes.jsonl" if full_length else "trials.journal")).is_file()


def disturbed(folder: Path, seed: int, what: str, left: int, tally: Tally, generator: random.Random) -> None:
    """One search to its end, with kills on the way."""
    while True:
        process = subprocess.Popen(command(folder, seed), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while process.poll() is None:
            full = tally.in_full_length * 2 < tally.kills
            waited = generator.uniform(*WAIT)
            while process.poll() is None and not in_stage(folder, full):
                time.sleep(0.1)
            time.sleep(waited)
            if process.poll() is not None or not left:
                process.wait()
                continue
            before, hit = finished(folder) if what == "driver" else Counter(), process.pid
            if what == "worker":
                workers = [c for c in psutil.Process(process.pid).children() if "autopeft.worker" in c.cmdline()]
                if not workers:
                    continue
                hit = generator.choice(workers).pid
            os.kill(hit, signal.SIGKILL)
            left, tally.kills, tally.in_full_length = left - 1, tally.kills + 1, tally.in_full_length + full
            if what == "worker":
                time.sleep(APART)
                continue
            process.wait()
            tally.lost += sum((before - finished(folder)).values())
        if process.returncode == 0:
            break
        if process.returncode != -signal.SIGKILL:
            raise SystemExit(f"the search ended with {process.returncode}: {process.stderr and process.stderr.read()}")
    tally.doubled += sum(n - 1 for n in finished(folder).values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", type=lambda text: text.split(","), default=["driver", "worker"])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--folder", type=Path, default=None)
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp())
    rows, generator, undisturbed = [], random.Random(0), {}
    for what in arguments.what:
        tally = Tally()
        while tally.kills < arguments.kills:
            seed = tally.searches
            if seed not in undisturbed:
                subprocess.run(command(folder / f"whole-{seed}", seed), check=True, stdout=subprocess.DEVNULL)
                undisturbed[seed] = measured(folder / f"whole-{seed}")
            there = folder / f"{what}-{seed}"
            disturbed(there, seed, what, arguments.kills - tally.kills, tally, generator)
            tally.searches += 1
            tally.different += measured(there) != undisturbed[seed]
            print(what, tally, flush=True)
        rows.append(
            {
                "killed": what,
                "kills": f"{tally.kills} ({tally.in_full_length} in the full-length stage)",
                "searches": str(tally.searches),
                "finished runs lost": str(tally.lost),
                "done twice": str(tally.doubled),
                "searches that came out otherwise": str(tally.different),
            }
        )
    print_rows(rows, "kills with SIGKILL")


if __name__ == "__main__":
    main()
