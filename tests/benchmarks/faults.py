"""Kills in the middle of small real searches, which are resumed: what was lost, done twice, or came out otherwise.

    python tests/benchmarks/faults.py run --on local,ray [--kills 50] [--what driver,worker,node] --folder FOLDER
    python tests/benchmarks/faults.py print --folder FOLDER

Searches with --deterministic, one after the other, each compared with the undisturbed one of the same seed in one process:
every curve of every trial and full-length run, and the front. Half of the kills (SIGKILL) fall into the full-length stage. A
driver is killed and started again; a worker, and a node of a Ray cluster on this machine with all that runs on it, is killed
while the driver goes on, but not at its second attempt, after which a run has failed. Between two steps there is a pause, so
that runs last as long as real ones: a checkpoint is written every ten seconds. The same command goes on where it was stopped.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import psutil
from filelock import FileLock

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.step_log import trained_again, training_now
from small_search import SMALL, answer

from autopeft.report.rows import print_rows
from autopeft.result import Result
from autopeft.study.folder import StudyFolder
from autopeft.study.reading import read_study

TESTS = Path(__file__).parents[1]
OPTIONS = ["--trials", "6", "--cohort", "3", "--rates", "1", "--full-steps", "48", "--no-ceiling", "--deterministic"]
SHORT = {"--seeds": "2", "--finalists": "2"}
PAUSE = 0.25  # seconds after each step
WAIT = {
    False: (1.0, 6.0),
    True: (2.0, 18.0),
}  # seconds of training before a kill among the trials, in the full-length stage
WHAT = {"inline": ("driver",), "local": ("driver", "worker"), "ray": ("driver", "worker", "node")}
REFERENCES = 3  # undisturbed searches


@dataclass
class Tally:
    """Of one kind of kill on one executor; kept in a file."""

    what: str
    executor: str
    kills: int = 0
    in_full_length: int = 0
    searches: int = 0
    lost: int = 0
    doubled: int = 0
    different: int = 0
    most_steps: int = 0
    most_seconds: float = 0.0
    began: float = 0.0  # the search that is under way

    @classmethod
    def of(cls, what: str, executor: str, folder: Path) -> "Tally":
        """As it was left."""
        path = folder / f"{executor}-{what}.json"
        return cls(**json.loads(path.read_text())) if path.is_file() else cls(what, executor)

    def keep(self, folder: Path) -> None:
        """Write it down."""
        beside = folder / f"{self.executor}-{self.what}.part"
        beside.write_text(json.dumps(asdict(self)))
        beside.replace(beside.with_suffix(".json"))

    def row(self) -> dict[str, str]:
        """As it is printed."""
        return {
            "killed": self.what,
            "executor": self.executor,
            "kills": str(self.kills),
            "in the full-length stage": str(self.in_full_length),
            "searches": str(self.searches),
            "finished runs lost": str(self.lost),
            "done twice": str(self.doubled),
            "searches that came out otherwise": str(self.different),
            "most trained again": f"{self.most_steps} steps, {self.most_seconds:.1f} s",
        }


def command(folder: Path, seed: int, options: list[str]) -> list[str]:
    small = [SHORT.get(SMALL[i - 1], word) for i, word in enumerate(SMALL)]
    own = [*OPTIONS, "--seed", str(seed), "--out", str(folder), "--quiet", *options]
    return [sys.executable, "-m", "autopeft", "search", *small, *own]


def measured(folder: Path) -> str:
    """Every curve without its timings, and the front."""
    return answer(Result.open(folder))


def finished(folder: Path) -> Counter:
    """Trials and full-length runs that are stored as finished."""
    files = StudyFolder(folder)
    if not files.exists:
        return Counter()
    trials = [("trial", t.number) for t in read_study(folder).trials if t.state in ("complete", "pruned")]
    runs = [(r["name"], r["role"], r["configuration"]["learning_rate"], r["curve"]["seed"]) for r in files.runs()]
    return Counter([*trials, *runs])


class Ground:
    """Where searches run: an executor, and the log of their steps.

    Args:
        executor: its name.
        log: folder of the log.
    """

    def __init__(self, executor: str, log: Path) -> None:
        log.mkdir(parents=True, exist_ok=True)
        self.executor, self.log = executor, log
        paths = os.pathsep.join(
            [str(TESTS / "faulty"), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        )
        os.environ.update({"FAULT_STEPS": str(log), "FAULT_PAUSE": str(PAUSE), "PYTHONPATH": paths})

    @cached_property
    def nodes(self):
        """A head without workers and two nodes with one each."""
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        for _ in range(2):
            made.add_node(num_cpus=1)
        made.wait_for_nodes()
        return made

    def options(self) -> list[str]:
        """Of a search here."""
        if self.executor == "ray":
            return ["--executor", "ray", "--address", self.nodes.address, "--workers", "2"]
        return ["--workers", "2" if self.executor == "local" else "1"]

    def kill(self, what: str, driver: int, generator: random.Random) -> bool:
        """Kill one of them; False where there is none at its first attempt."""
        found = training_now(self.log)
        if not found:
            return False
        hit = driver if what == "driver" else generator.choice(found)
        with suppress(psutil.NoSuchProcess):
            if what == "node":
                return self._kill_node(psutil.Process(hit).ppid())
            os.kill(hit, signal.SIGKILL)
        return True

    def _kill_node(self, raylet: int) -> bool:
        for node in list(self.nodes.worker_nodes):
            if raylet in [p.process.pid for p in node.all_processes["raylet"]]:
                for process in [*psutil.Process(raylet).children(recursive=True), psutil.Process(raylet)]:
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
                self.nodes.remove_node(node, allow_graceful=False)
                self.nodes.add_node(num_cpus=1)
                return True
        return False


def disturbed(folder: Path, seed: int, kills: int, tally: Tally, ground: Ground, keep: Path) -> None:
    """One search to its end, with kills on the way."""
    generator, known = random.Random(time.time()), Counter()
    while True:
        process = subprocess.Popen(
            command(folder, seed, ground.options()), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        while process.poll() is None:
            while process.poll() is None and not training_now(ground.log):
                time.sleep(0.2)
            time.sleep(generator.uniform(*WAIT[(folder / "outcomes.jsonl").is_file()]))
            full = (folder / "outcomes.jsonl").is_file()
            wanted = (
                kills // 2 - tally.in_full_length if full else (kills + 1) // 2 - tally.kills + tally.in_full_length
            )
            if wanted <= 0 or process.poll() is not None:
                continue
            known |= finished(folder)
            if ground.kill(tally.what, process.pid, generator):
                tally.kills, tally.in_full_length = tally.kills + 1, tally.in_full_length + full
                tally.keep(keep)
                print(time.strftime("%H:%M:%S"), tally, flush=True)
        said = process.stderr.read() if process.stderr else ""
        if process.returncode == 0:
            break
        if process.returncode != -signal.SIGKILL:
            raise SystemExit(f"the search ended with {process.returncode}: {said}")
    tally.lost += sum((known - finished(folder)).values())
    tally.doubled += sum(n - 1 for n in finished(folder).values())


def reference(folder: Path, seed: int) -> str:
    """What the undisturbed search of a seed measured."""
    there = folder / f"whole-{seed}"
    whole = {k: v for k, v in os.environ.items() if not k.startswith("FAULT")}
    with FileLock(f"{there}.lock"):  # others may run on the same folder
        subprocess.run(command(there, seed, ["--workers", "1"]), check=True, stdout=subprocess.DEVNULL, env=whole)
    return measured(there)


def run(folder: Path, executor: str, what: str, kills: int) -> None:
    """So many kills of one kind, or the rest of them."""
    tally, ground = Tally.of(what, executor, folder), Ground(executor, folder / f"steps-{executor}-{what}")
    while tally.kills < kills or tally.began:
        seed = tally.searches % REFERENCES
        there = folder / f"{executor}-{what}-{tally.searches}"
        tally.began = tally.began or time.time()
        tally.keep(folder)
        disturbed(there, seed, kills, tally, ground, folder)
        tally.different += measured(there) != reference(folder, seed)
        again = trained_again(ground.log, tally.began)
        tally.most_steps = max([tally.most_steps, *(steps for steps, _ in again)])
        tally.most_seconds = max([tally.most_seconds, *(seconds for _, seconds in again)])
        tally.searches, tally.began = tally.searches + 1, 0.0
        tally.keep(folder)
        print(time.strftime("%H:%M:%S"), tally, flush=True)
    if "nodes" in ground.__dict__:
        ground.nodes.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("run", "print"))
    parser.add_argument("--on", type=lambda text: text.split(","), default=list(WHAT))
    parser.add_argument("--what", type=lambda text: text.split(","), default=list(WHAT["ray"]))
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    chosen = [(e, w) for e in arguments.on for w in WHAT[e] if w in arguments.what]
    if arguments.do == "run":
        for executor, what in chosen:
            run(arguments.folder, executor, what, arguments.kills)
    print_rows([Tally.of(w, e, arguments.folder).row() for e, w in chosen], "kills with SIGKILL")


if __name__ == "__main__":
    main()
