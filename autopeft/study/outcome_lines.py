"""outcomes.jsonl: a line per full-length run. A last line that is damaged is dropped, any other is refused."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autopeft.base.errors import AutopeftError
from autopeft.base.files import write_whole
from autopeft.base.packages import Note

KEYS = {"name", "role", "configuration", "trainable", "curve"}  # of every run, since release 0.1


def read_runs(path: Path, note: Note) -> list[dict[str, Any]]:
    """Read every full-length run, in the order in which they ended; there are none where there is no file.

    Args:
        path: the file.
        note: told of a last line that is no run, which is left out.

    Raises:
        AutopeftError: another line is damaged.
    """
    content = path.read_bytes().rstrip(b"\n") if path.is_file() else b""
    found = [run_of(line) for line in content.split(b"\n")] if content else []
    if found and found[-1] is None:
        found.pop()
        note(f"The last line of {path} is damaged: that run is left out.")
    runs = [run for run in found if run is not None]
    if len(runs) < len(found):
        raise AutopeftError(
            f"Line {found.index(None) + 1} of {path} is damaged: restore the file, or delete it to train the full-length "
            "runs again."
        )
    return runs


def run_of(line: bytes) -> dict[str, Any] | None:
    """A line as a run, None if it is damaged."""
    try:
        run = json.loads(line)
    except ValueError:  # no JSON or no UTF-8
        return None
    return run if isinstance(run, dict) and run.keys() >= KEYS else None


def write_runs(path: Path, runs: Sequence[Mapping[str, Any]]) -> None:
    """Write all runs, or leave the file as it was."""
    write_whole(path, "".join(json.dumps(run) + "\n" for run in runs))
