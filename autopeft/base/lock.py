"""One writer at a time: a lock that the operating system holds, so that a killed process releases it. No torch."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from autopeft.base.errors import AutopeftError


@contextmanager
def one_writer(lock: Path, what: str) -> Iterator[None]:
    """Hold a lock while the body writes; the file names the host and process, and is removed afterwards.

    Worker processes that are forked meanwhile do not hold it: filelock closes their copy of the descriptor.

    Args:
        lock: the lock's file. Its folder is made, and removed again if nothing was written into it.
        what: what is locked, as the sentence begins: "The study in runs/mine".

    Raises:
        AutopeftError: another process holds the lock, or the file cannot be made.
    """
    made = [folder for folder in lock.parents if not folder.exists()]
    held = _acquired(lock, what)
    try:
        yield
    finally:
        with suppress(OSError):  # Windows does not remove an open file; it stays, and is nobody's
            lock.unlink()
        held.release()
        with suppress(OSError):  # a folder that holds something stays
            for folder in made:
                folder.rmdir()


def _acquired(lock: Path, what: str) -> FileLock:
    """The lock, held. Raises AutopeftError."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(lock, on_acquired=_name_holder)
        held.acquire(blocking=False)
    except Timeout:
        raise AutopeftError(
            f"{what} is being written by {_holder(lock)}: wait until it has ended, or choose another place with --out."
        ) from None
    except OSError as error:
        raise AutopeftError(
            f"{lock.parent} cannot be made or written ({error.strerror or error}): choose another place with --out."
        ) from None
    return held


def _name_holder(descriptor: int) -> None:
    """Write host and process into the file that has just been locked."""
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps({"host": socket.gethostname(), "process": os.getpid()}).encode())


def _holder(lock: Path) -> str:
    """Who holds a lock, as far as its file says."""
    try:
        holder = json.loads(lock.read_text(encoding="utf-8"))
        return f"process {holder['process']} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):  # it has been locked this very moment
        return "another process"
