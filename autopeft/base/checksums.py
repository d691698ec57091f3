"""Folders in the cache carry SHA-256 sums of their files, and a damaged one is not used. Imports no torch."""

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from autopeft.base.errors import AutopeftError
from autopeft.base.files import write_whole

SUMS = "SHA256SUMS"  # as sha256sum writes it, so `sha256sum -c` reads it too
_checked: set[Path] = set()  # by this process, or by the one that it was forked from


def write_sums(folder: Path) -> None:
    """Write the sums of a folder's files into it. Raises AutopeftError when the disk is full."""
    lines = [f"{_sum(path)}  {path.relative_to(folder).as_posix()}\n" for path in _files(folder)]
    write_whole(folder / SUMS, "".join(lines))


def take_if_whole(folder: Path, note: Callable[[str], None] | None) -> bool:
    """Whether a folder is there and whole; a damaged one is told and removed, so that it can be made anew.

    Every file is hashed when a process first asks, which takes about a second for 500 MB. Sizes and times would be
    cheaper, but flipped bits on a disk change neither. A folder of release 0.1 has no sums: it gets them now.

    Args:
        folder: in the cache.
        note: told of damage; by default the log is.

    Raises:
        AutopeftError: a damaged folder cannot be removed.
    """
    if folder in _checked and folder.is_dir():
        return True
    if not folder.is_dir():
        return False
    if (damaged := damaged_file(folder)) is not None:
        (note or logging.getLogger("autopeft").warning)(f"{folder / damaged} is damaged: the folder is made anew.")
        _remove(folder)
        return False
    if not (folder / SUMS).is_file():
        with suppress(AutopeftError, OSError):  # a cache that cannot be written serves as it is
            write_sums(folder)
    _checked.add(folder)
    return True


def damaged_file(folder: Path) -> str | None:
    """The first file of a folder that is missing or differs from its sum; None without sums or damage."""
    sums = folder / SUMS
    if not sums.is_file():
        return None
    for line in sums.read_text(encoding="utf-8", errors="replace").splitlines():
        stated, _, name = line.partition("  ")
        path = folder / name
        if not name or not path.is_file() or _sum(path) != stated:
            return name or SUMS
    return None


def _remove(folder: Path) -> None:
    """Move a folder away at once, then delete it; whoever has its files open keeps them. Raises AutopeftError."""
    try:
        with tempfile.TemporaryDirectory(prefix=".part-", dir=folder.parent, ignore_cleanup_errors=True) as part:
            shutil.move(folder, part)
    except FileNotFoundError:  # another process was first
        return
    except OSError as error:
        raise AutopeftError(
            f"{folder} is damaged and cannot be replaced ({error.strerror or error}): delete it, or set AUTOPEFT_CACHE to "
            "another folder."
        ) from None


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
