"""Where the states of what has not ended lie: a folder, or a URL that fsspec opens. Every write is whole or not at all.

A file in a folder is read and written as any other file; fsspec is loaded for URLs only. Credentials are what the file
system finds by itself, in the environment or in its own files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname
from uuid import uuid4

from autopeft.base.errors import AutopeftError
from autopeft.base.files import write_whole

OWN = (".state", ".state.part")
AT_ONCE = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"}  # a write there is whole or not at all


@dataclass(frozen=True)
class Artefacts:
    """The files of one study in a folder of their own, or below a URL.

    Attributes:
        place: the folder's path, or the URL.
    """

    place: str

    def path(self, name: str) -> str:
        """The path or URL of a file."""
        return f"{self.place.rstrip('/')}/{name}"

    def within(self, name: str) -> Artefacts:
        """A folder in this one, wherever this process is started later."""
        folder = local(self.place)
        return Artefacts(str(folder.resolve() / name) if folder else self.path(name))

    def names(self) -> list[str]:
        """The names of all files."""
        folder = local(self.place)
        if folder:
            return [path.name for path in folder.iterdir()] if folder.is_dir() else []
        with opened(self.place, "read") as (system, path):
            system.invalidate_cache(path)
            with suppress(FileNotFoundError):
                return [found.rstrip("/").rsplit("/", 1)[-1] for found in system.ls(path, detail=False)]
        return []

    def remove(self) -> None:
        """Delete the states, and the folder if it held nothing else: where it lies is what a study says."""
        for name in self.names():
            if name.endswith(OWN):
                delete(self.path(name))
        folder = local(self.place)
        if folder:
            with suppress(OSError):
                return folder.rmdir()
        else:
            with opened(self.place, "deleted") as (system, path), suppress(OSError, NotImplementedError):
                system.rmdir(path)  # where it has folders

    def check(self) -> None:
        """Write, list, read and delete a file. Raises AutopeftError if that cannot be done."""
        path = self.path(name := f"check-{uuid4()}")
        write(path, b"whole")
        if name not in self.names() or read(path) != b"whole":
            raise AutopeftError(f"What is written to {self.place} is not there afterwards: give another --artefacts.")
        delete(path)


def read(path: str) -> bytes | None:
    """The content of a file by its path or URL; None where there is none. Raises AutopeftError if it cannot be read."""
    file = local(path)
    if file:
        with said_if_wrong(path, "read"):
            return file.read_bytes() if file.is_file() else None
    with opened(path, "read") as (system, there), suppress(FileNotFoundError):
        return system.cat_file(there)
    return None


def write(path: str, content: bytes) -> None:
    """Write a file by its path or URL, whole or not at all. Raises AutopeftError if it cannot be written."""
    file = local(path)
    if file:
        with said_if_wrong(path, "written"):
            file.parent.mkdir(parents=True, exist_ok=True)
        return write_whole(file, content)
    with opened(path, "written") as (system, there):
        if path.split("://")[0] in AT_ONCE:
            return system.pipe_file(there, content)
        system.makedirs(there.rsplit("/", 1)[0], exist_ok=True)
        system.pipe_file(f"{there}.part", content)
        system.mv(f"{there}.part", there)


def delete(path: str) -> None:
    """Delete a file by its path or URL, if there is one. Raises AutopeftError if it cannot be deleted."""
    file = local(path)
    if file:
        with said_if_wrong(path, "deleted"):
            return file.unlink(missing_ok=True)
    with opened(path, "deleted") as (system, there), suppress(FileNotFoundError):
        system.rm_file(there)


def local(place: str) -> Path | None:
    """A path or a file:// URL as a path; None of another URL."""
    if place.startswith("file://"):
        return Path(url2pathname(urlsplit(place).path))
    return None if "://" in place else Path(place)


@contextmanager
def opened(url: str, how: str) -> Iterator[tuple[Any, str]]:
    """The file system of a URL and the path on it; what goes wrong meanwhile is an AutopeftError."""
    with said_if_wrong(url, how):
        from fsspec.core import url_to_fs

        yield url_to_fs(url)


@contextmanager
def said_if_wrong(path: str, how: str) -> Iterator[None]:
    """What goes wrong is said in a sentence: every file system has exceptions of its own."""
    try:
        yield
    except ImportError as error:
        protocol = path.split("://")[0]
        what = 'pip install "autopeft[s3]"' if protocol in ("s3", "s3a") else "install that first"
        raise AutopeftError(
            f"{protocol}:// is read by a package that is not there ({on_a_line(error)}): {what}."
        ) from None
    except Exception as error:
        raise AutopeftError(
            f"{path} cannot be {how} ({on_a_line(error)}): when that is mended, run the same command again."
        ) from None


def on_a_line(error: Exception) -> str:
    """What an error says, or its name where it says nothing."""
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__


def checked_place(place: str) -> str:
    """A folder or URL as it was given, without anything secret.

    Raises:
        AutopeftError: it holds a password or a query, which would be written into the study, or names no place.
    """
    protocol, _, rest = place.partition("://")
    authority = rest.split("/")[0]
    if rest and (":" in place.rpartition("@")[0].partition("://")[2] or "?" in rest):
        raise AutopeftError(
            f"The URL {protocol}://... of --artefacts holds a password or a query, and would be kept: leave them out; "
            "credentials are read from the environment or from the provider's own files."
        )
    if not place or (protocol == "file" and authority) or ("://" in place and not rest.strip("/")):
        raise AutopeftError(f"--artefacts is '{place}': give a folder, file:///FOLDER or s3://BUCKET/PREFIX.")
    return place
