"""Files and folders that are written whole or not at all. Imports no torch."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autopeft.base.errors import AutopeftError


def writable(folder: Path) -> bool:
    """Whether this process may write into a folder."""
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be made or written. Raises AutopeftError."""
    there = next(p for p in (folder, *folder.absolute().parents) if os.path.lexists(p))
    if not there.is_dir():
        raise AutopeftError(f"{there} is no folder, so {folder} cannot be made: choose another with --out.")
    if not writable(there):
        raise AutopeftError(f"{there} cannot be written, so {folder} cannot be kept: choose another with --out.")


def made_folder(folder: Path) -> Path:
    """A folder, made where it does not exist. Raises AutopeftError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AutopeftError(
            f"The folder {folder} cannot be made ({error.strerror}): choose another with --out."
        ) from None
    return folder


def write_whole(path: Path, content: str | bytes) -> None:
    """Write beside the target, flush to disk, then rename: a kill or a full disk leaves the old file."""
    beside = path.with_name(path.name + ".part")
    try:
        with open(beside, "wb", opener=no_link) as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise AutopeftError(
            f"{path} could not be written ({error.strerror}): free some space or choose another folder with --out."
        ) from None


def no_link(path: str, flags: int) -> int:
    """Open a file, as `open` asks an opener to, but not through a link that somebody has put there. Raises OSError."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder to write into and rename it at the end: a folder under the final name is always whole."""
    beside = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=folder.parent))
        yield beside
        if folder.exists():
            shutil.rmtree(folder)
        beside.rename(folder)
    except OSError as error:
        raise AutopeftError(
            f"The adapter could not be saved in {folder} ({error.strerror}): free some space or choose another --out."
        ) from None
    finally:
        if beside:
            shutil.rmtree(beside, ignore_errors=True)
