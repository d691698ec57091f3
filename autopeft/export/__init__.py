"""Configuration -> a toolkit's own files, with a verdict on what they lose.

Toolkits register themselves, one file each; nothing here lists them.
"""

import importlib
import pkgutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autopeft.base.files import made_folder, write_whole
from autopeft.export.mechanisms.toolkit import REGISTRY, Case, Toolkit, Written, get_toolkit

__all__ = ["REGISTRY", "Case", "Exported", "Toolkit", "Written", "export", "get_toolkit", "verdicts"]


@dataclass(frozen=True)
class Exported:
    """What an export came to."""

    toolkit: str
    verdict: str  # lossless | lossy | unsupported
    losses: tuple[str, ...]
    nearest: str
    reason: str
    alternatives: tuple[str, ...]  # toolkits that can, where this one cannot
    command: str
    folder: str
    files: tuple[str, ...]
    caution: str = ""  # what whoever uses it has to know of the configuration

    def to_json(self) -> dict[str, Any]:
        """The same as a dict, for --json."""
        return asdict(self)


def export(to: str, case: Case, out: Path, dry_run: bool = False) -> Exported:
    """Write the files of one toolkit into a folder.

    Args:
        to: the toolkit's name.
        case: the configuration and its study.
        out: the folder; it is made where it does not exist.
        dry_run: write nothing. Nothing is written either where the toolkit cannot express the case.

    Raises:
        AutopeftError: there is no such toolkit, or the folder cannot be made.
    """
    written = get_toolkit(to).write(case)
    if written.files and not dry_run:
        made_folder(out)
        for name, text in written.files.items():
            write_whole(out / name, text)
    can = tuple(x.toolkit for x in verdicts(case) if x.verdict != "unsupported") if written.reason else ()
    return exported(to, written, str(out), can)


def verdicts(case: Case) -> list[Exported]:
    """What every toolkit would say of a case."""
    return [exported(name, toolkit.write(case)) for name, toolkit in sorted(REGISTRY.items())]


def exported(to: str, written: Written, folder: str = "", alternatives: tuple[str, ...] = ()) -> Exported:
    """Put a toolkit's answer into the form that users see.

    Args:
        to: the toolkit's name.
        written: its answer.
        folder: where the files were written, empty if they were not.
        alternatives: the toolkits that can express what this one cannot.
    """
    return Exported(
        to,
        written.verdict,
        written.losses,
        written.nearest,
        written.reason,
        alternatives,
        written.command,
        folder,
        tuple(sorted(written.files)),
    )


for _module in pkgutil.iter_modules(__path__):
    if not _module.ispkg:
        importlib.import_module(f"{__name__}.{_module.name}")
