"""A worker that trains nothing: what it does with a seed is named on its command line.

python fake_worker.py FOLDER WHAT
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

FOLDER, WHAT = Path(sys.argv[1]), sys.argv[2]
PACK: dict = {}  # what it is doing


def noted(seed: int) -> int:
    """Which attempt at a seed this is, even where several processes ask at the same time."""
    with open(FOLDER / str(seed), "ab", buffering=0) as file:
        file.write(b"x")
        return file.tell()


def say(data: dict) -> None:
    print(json.dumps(data), flush=True)


def squared(seed):
    noted(seed)
    return seed**2


def deadly(seed):
    """A seed that is 3 kills its worker, always; one that is 4 the first time only."""
    attempt = noted(seed)
    time.sleep(0.05)
    if seed == 3 or (seed == 4 and attempt == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return seed**2


def beside(seed):
    """Which seeds are being done at the same time; the worker of 1 is killed at its first attempt."""
    if noted(seed) == 1 and seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    (FOLDER / f"busy-{seed}").touch()
    time.sleep(0.2)
    others = [p.name for p in FOLDER.glob("busy-*") if p.name != f"busy-{seed}"]
    (FOLDER / f"busy-{seed}").unlink()
    return others


def slow(seed):
    """Takes eight seconds, and an even seed shows signs of life."""
    noted(seed)
    for _ in range(160):
        time.sleep(0.05)
        if seed % 2 == 0:
            say({"beat": 1})
    return seed


def endless(seed):
    """A seed that is 1 never ends, shows signs of life, and notes who works beside it; the others take half a second."""
    noted(seed)
    (FOLDER / f"busy-{seed}").touch()
    while seed == 1:
        time.sleep(0.05)
        say({"beat": time.monotonic()})
        if len(list(FOLDER.glob("busy-*"))) > 1:
            (FOLDER / f"beside-{PACK['attempt']}").touch()
    time.sleep(0.5)
    (FOLDER / f"busy-{seed}").unlink()
    return seed


def refuses(seed):
    return None if seed == 1 else seed


def main() -> None:
    threading.Thread(target=lambda: None).start()
    recipe = json.loads(sys.stdin.readline())
    if WHAT == "dies" or (WHAT == "dies-once" and noted(99) == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if WHAT == "refused":
        return say({"refused": f"There are no data {recipe['data']}."})
    if WHAT == "opens-slowly":
        for _ in range(30):
            time.sleep(0.1)
            say({"beat": 0})
    say({"opened": True})
    for line in sys.stdin:
        PACK.update(json.loads(line))
        (order,) = PACK["orders"]
        found = {"dies-once": squared, "opens-slowly": squared}.get(WHAT, globals().get(WHAT))(order["job"]["seed"])
        if found is None:
            say({"given": {"refused": "There is nothing to measure against."}})
        else:
            say({"given": {"answers": [{"curve": None, "state": None, "failure": json.dumps(found)}]}})


if __name__ == "__main__":
    main()
