"""Worker processes that die, hang, refuse or are stopped half-way; what they are asked to do is as short as can be."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.executor import time_limit, watch
from autopeft.executor.local import KILLED, Local, on_cores, on_devices
from autopeft.executor.order import Order
from autopeft.executor.seam import Recipe
from autopeft.executor.workers import Stage, Workers
from autopeft.proxy.job import Job

RECIPE = Recipe({}, "of mine", {}, {}, {})
OWN = Configuration.of("head_only", {}, (), 1e-3)
FAKE = Path(__file__).with_name("fake_worker.py")


def workers(folder, what, number=3) -> Workers:
    local = Local([{}] * number, (sys.executable, str(FAKE), str(folder), what))
    local.start(RECIPE)
    return Workers(SimpleNamespace(head_learning_rate=1e-3, uniform_lora=None), local, {"timed": 0.1})


@pytest.fixture
def made(tmp_path):
    """Workers that do something with seeds; stopped at the end."""
    found = []

    def make(what, number=3):
        found.append(workers(tmp_path, what, number))
        return found[-1]

    yield make
    for one in found:
        one.close()


def asked(seeds) -> list[Job]:
    return [Job(OWN, seed, 1, 1) for seed in seeds]


def done(pool: Workers, seeds) -> dict:
    """Seed -> what its worker gave, or why there is nothing."""

    def read(text):
        return json.loads(text) if text[:1] in "0123456789[" else text

    return {n: read(answer.failure) for n, answer in pool.run(asked(seeds))}


def attempts(folder, number) -> list[int]:
    return [(folder / str(n)).stat().st_size for n in range(number)]


def test_everything_is_done_once_by_as_many_processes(made, tmp_path):
    pool = made("squared")
    assert done(pool, range(20)) == {n: n**2 for n in range(20)}
    assert attempts(tmp_path, 20) == [1] * 20 and len(pool.executor._workers) == 3
    assert done(pool, [7]) == {0: 49}


def test_a_worker_that_dies_is_replaced_and_its_work_tried_again(made, tmp_path):
    """After one worker's death the rest ran one after the other."""
    assert done(made("deadly"), range(8)) == {n: n**2 for n in range(8)} | {3: KILLED}
    assert attempts(tmp_path, 8) == [1, 1, 1, 2, 2, 1, 1, 1]


def test_the_second_attempt_has_the_machine_for_itself(made):
    assert done(made("beside"), range(6))[1] == []


def test_a_worker_that_hangs_is_replaced_and_a_slow_one_is_not(made, tmp_path, monkeypatch):
    for name, value in (("SILENCE", 4.0), ("SLOW", 2.0)):
        monkeypatch.setattr(watch, name, value)
    found = done(made("slow"), range(4))
    assert {n: found[n] for n in (0, 2)} == {0: 0, 2: 2}
    assert all("no sign of life for" in found[n] for n in (1, 3))
    assert attempts(tmp_path, 4) == [1, 2, 1, 2]


def test_what_never_ends_has_failed_after_two_attempts_and_the_others_go_on_beside_it(made, tmp_path, monkeypatch):
    """It showed signs of life, so it held its worker for ever."""
    monkeypatch.setattr(time_limit, "FLOOR", 2.0)
    monkeypatch.setattr(time_limit, "FACTOR", 1.0)
    pool, found = made("endless", 2), {}
    jobs = iter(asked(range(24)))

    def more():
        if lane := [Order(job) for job in (next(jobs, None), next(jobs, None)) if job]:
            return iter([Stage(lane, lambda n, answer: found.update({lane[n].job.seed: answer.failure}))])

    pool.run_stages(more)
    assert found[1] == "it had not ended when its 2 s were over, far more than expected"
    assert all(found[seed] == str(seed) for seed in range(24) if seed != 1)
    assert attempts(tmp_path, 24) == [1, 2] + [1] * 22
    assert all((tmp_path / f"beside-{attempt}").exists() for attempt in (1, 2)), "the study goes on at full width"


def test_the_time_in_which_a_worker_opens_the_recipe_is_not_the_packs(made, monkeypatch):
    monkeypatch.setattr(time_limit, "FLOOR", 2.0)
    monkeypatch.setattr(time_limit, "FACTOR", 1.0)
    assert done(made("opens-slowly", 1), [3]) == {0: 9}


def test_what_a_worker_refuses_is_raised_and_nothing_goes_on(made):
    pool = made("refuses")
    with pytest.raises(AutopeftError, match="nothing to measure against"):
        done(pool, range(6))
    assert not pool.executor._workers


def test_a_recipe_that_cannot_be_opened_is_said(made):
    with pytest.raises(AutopeftError, match="There are no data of mine"):
        done(made("refused"), range(6))
    with pytest.raises(AutopeftError, match="end while they load the model .* try --workers 1"):
        done(made("dies"), range(6))


def test_a_worker_that_dies_while_it_opens_the_recipe_has_lost_nothing(made, tmp_path):
    assert done(made("dies-once"), range(4)) == {n: n**2 for n in range(4)}
    assert attempts(tmp_path, 4) == [1] * 4


def test_whoever_stops_asking_stops_the_workers(made):
    pool = made("squared")
    found = pool.run(asked([0, 2, 3, 4, 5]))
    next(found)
    found.close()
    assert not pool.executor._workers


def test_a_pack_that_is_cancelled_is_not_done(tmp_path):
    pool = workers(tmp_path, "slow", 1)
    begun, waiting, last = (pool.executor.submit(pack) for pack in packs(range(3)))
    pool.executor.cancel(waiting)
    pool.executor.cancel(begun)
    found = []
    while not found:
        found += pool.executor.events(1.0)
    pool.close()
    assert [event.ticket for event in found] == [last] and not (tmp_path / "1").exists()


def packs(seeds):
    from autopeft.executor.seam import Pack

    return [Pack((Order(job),), 1e-3) for job in asked(seeds)]


def test_workers_share_the_cores():
    assert [e["OMP_NUM_THREADS"] for e in on_cores(3, 8)] == ["2"] * 3 and on_cores(4, 2)[0]["OMP_NUM_THREADS"] == "1"


def test_each_cuda_device_that_is_seen_has_a_worker(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert on_devices(2) == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-7f")
    assert on_devices(2) == [{"CUDA_VISIBLE_DEVICES": "3"}, {"CUDA_VISIBLE_DEVICES": "GPU-7f"}]


SCRIPT = """
import os, signal, sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_local import done, workers
threading.Timer(1.5, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
done(workers(Path(sys.argv[2]), "slow", 2), range(2))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_workers_do_not_outlive_their_parent(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(tmp_path)]
    assert subprocess.run(command, timeout=60, capture_output=True).returncode == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while (left := workers_in(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not left


def workers_in(folder: Path) -> list[str]:
    """Processes with a folder on their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in entry.read_bytes():
                found.append(entry.parent.name)
        except OSError:
            continue
    return [pid for pid in found if int(pid) != os.getpid()]
