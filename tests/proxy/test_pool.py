"""Workers that die, hang, raise or are stopped half-way; what they are asked to do is as short as can be."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autopeft.proxy import pool as pool_module
from autopeft.proxy.pool import KILLED, Lost, Pool, sign_of_life

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")


def noted(folder: Path, number: int) -> int:
    """Which attempt at a number this is."""
    with open(folder / str(number), "ab") as file:
        file.write(b"x")
        return file.tell()


def squared(folder, number):
    noted(folder, number)
    return number**2


def deadly(folder, number):
    """A number that is 3 kills its worker, always; one that is 4 the first time only."""
    attempt = noted(folder, number)
    time.sleep(0.05)
    if number == 3 or (number == 4 and attempt == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def beside(folder, number):
    """Which numbers are being done at the same time; the worker of 1 is killed at its first attempt."""
    if noted(folder, number) == 1 and number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / f"busy-{number}").touch()
    time.sleep(0.2)
    others = [p.name for p in folder.glob("busy-*") if p.name != f"busy-{number}"]
    (folder / f"busy-{number}").unlink()
    return others


def slow(folder, number):
    """Takes three seconds, and an even number shows signs of life."""
    noted(folder, number)
    for _ in range(60):
        time.sleep(0.05)
        if number % 2 == 0:
            sign_of_life()
    return number


def raises(folder, number):
    if number == 1:
        raise KeyError("nothing to go on")
    time.sleep(0.2)
    return number


@pytest.fixture
def pool(tmp_path):
    made = Pool(tmp_path, 3)
    yield made
    made.close()


def test_everything_is_done_once_by_as_many_processes(pool, tmp_path):
    assert dict(pool.map(squared, range(20))) == {n: n**2 for n in range(20)}
    assert all((tmp_path / str(n)).stat().st_size == 1 for n in range(20)) and len(pool._workers) == 3
    assert dict(pool.map(squared, [7])) == {0: 49}


def test_a_worker_that_dies_is_replaced_and_its_work_tried_again(pool, tmp_path):
    """After one worker's death the rest ran one after the other."""
    found = dict(pool.map(deadly, range(8)))
    assert found == {n: n**2 for n in range(8) if n != 3} | {3: Lost(KILLED)}
    assert [(tmp_path / str(n)).stat().st_size for n in range(8)] == [1, 1, 1, 2, 2, 1, 1, 1]


def test_the_second_attempt_has_the_machine_for_itself(pool):
    assert dict(pool.map(beside, range(6)))[1] == []


def test_a_worker_that_hangs_is_replaced_and_a_slow_one_is_not(pool, tmp_path, monkeypatch):
    for name, value in (("SILENCE", 1.5), ("POLL", 0.1), ("SLOW", 2.0)):
        monkeypatch.setattr(pool_module, name, value)
    found = dict(pool.map(slow, range(4)))
    assert {n: found[n] for n in (0, 2)} == {0: 0, 2: 2}
    assert all(isinstance(found[n], Lost) and "no sign of life for" in found[n].reason for n in (1, 3))
    assert [(tmp_path / str(n)).stat().st_size for n in range(4)] == [1, 2, 1, 2]


def test_what_a_call_raises_is_raised_and_nothing_goes_on(pool):
    with pytest.raises(KeyError, match="nothing to go on"):
        list(pool.map(raises, range(6)))
    assert not pool._workers


def test_whoever_stops_asking_stops_the_workers(pool):
    asked = pool.map(raises, [0, 2, 3, 4, 5])
    next(asked)
    asked.close()
    assert not pool._workers


WITHOUT_FORK = """
import multiprocessing
def none(*_): raise ValueError("cannot find context for 'fork'")
multiprocessing.get_context = none
import autopeft.proxy.session, autopeft.proxy.workers
"""


def test_where_there_is_no_fork_it_can_be_imported():
    """Windows, where training takes one process."""
    assert subprocess.run([sys.executable, "-c", WITHOUT_FORK], timeout=120).returncode == 0


SCRIPT = """
import os, signal, sys, threading
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_pool import slow
from autopeft.proxy.pool import Pool
threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
list(Pool(Path(sys.argv[2]), 2).map(slow, range(2)))
"""


def test_workers_do_not_outlive_their_parent(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(tmp_path)]
    assert subprocess.run(command, timeout=60, capture_output=True).returncode == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while (left := workers_in(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not left


def workers_in(folder: Path) -> list[str]:
    """Processes with a folder on their command line, which workers have of their parent."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in entry.read_bytes():
                found.append(entry.parent.name)
        except OSError:
            continue
    return [pid for pid in found if int(pid) != os.getpid()]
