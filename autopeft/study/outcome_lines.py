"""outcomes.jsonl: a line per full-length run. What is damaged or missing at the end is trained again, any other damage is refused.

Each line ends with a checksum of itself and the line before it; those of release 0.1 have none.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from autopeft.base.checked import checked, parsed
from autopeft.base.errors import AutopeftError
from autopeft.base.files import write_whole
from autopeft.base.packages import Note
from autopeft.base.seal import KEY, chain, parted, sealed
from autopeft.configuration import Configuration
from autopeft.proxy.curve import Curve
from autopeft.study.ledger import Entry, Ledger, lost_lines

NAME = re.compile(r"\w[\w ()+.-]*")  # of a run: folders are named after it


class StoredRun(TypedDict):
    """What a line holds; release 0.1 counted nothing."""

    name: str
    role: Literal["finalist", "baseline", "ceiling", "tuning"]
    configuration: dict[str, Any]
    trainable: Annotated[int, Field(ge=0)]
    curve: dict[str, Any]
    counted: NotRequired[dict[str, float]]


def read_runs(path: Path, ledger: Ledger, note: Note, unsealed: bool) -> list[dict[str, Any]]:
    """Read every full-length run, in the order in which they ended; there are none where there is no file.

    Args:
        path: the file.
        ledger: the study's.
        note: told of what is damaged or missing at the end, which is left out.
        unsealed: whether the study is one of release 0.1, whose lines have no checksums.

    Raises:
        AutopeftError: another line is damaged.
    """
    entry = ledger.entry(path.name)
    content = path.read_bytes().rstrip(b"\n") if path.is_file() else b""
    lines = content.split(b"\n") if content else []
    checksums = list(chain(lines, unsealed))
    runs = [run_of(line) if checksum else None for line, checksum in zip(lines, checksums)]
    if None in runs and runs.index(None) < len(lines) - 1:
        raise AutopeftError(
            f"Line {runs.index(None) + 1} of {path} is damaged: restore the file, or delete it to train the full-length "
            "runs again."
        )
    whole = [run for run in runs if run is not None]
    lost = lost_lines(entry, [c for c in checksums if c][: len(whole)], path)
    if len(whole) < len(lines):
        note(f"The last line of {path} is damaged: that run is left out.")
        lost -= 1
    if lost > 0:
        note(f"{path} has lost its last {lost} of {entry[0]} runs: the same search trains them again.")
    return whole


def run_of(line: bytes) -> dict[str, Any] | None:
    """A line as a run, None if it is damaged."""
    try:
        found = parsed(line)
        run = checked(StoredRun, {k: v for k, v in found.items() if k != KEY})
        Configuration.from_json(run["configuration"]), Curve.from_json(run["curve"])
    except (ValueError, LookupError, TypeError, AttributeError, AutopeftError):  # no JSON, no UTF-8, or no run
        return None
    as_found = sorted(run.items(), key=lambda item: list(found).index(item[0]))  # so that it is written as it was
    return dict(as_found) if NAME.fullmatch(run["name"]) else None


def write_runs(path: Path, runs: Sequence[Mapping[str, Any]]) -> Entry:
    """Write all runs, or leave the file as it was; what the ledger is to say of it."""
    lines, last = list[str](), ""
    for run in runs:
        lines.append(sealed(run, last))
        last = parted(lines[-1].encode())[1] or ""
    write_whole(path, "".join(line + "\n" for line in lines))
    return len(lines), last
