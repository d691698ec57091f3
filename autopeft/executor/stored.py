"""The state of a run in a file, behind a line with its checksum."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from autopeft.base import artefacts
from autopeft.base.errors import AutopeftError


@dataclass(frozen=True)
class Stored:
    """The state of a run in a file.

    Attributes:
        path: of the file, or its URL.
        sha256: of the state, as hexadecimal text.
    """

    path: str
    sha256: str

    @classmethod
    def write(cls, path: str, state: bytes) -> Stored:
        """Write a state, whole or not at all. Raises AutopeftError if it cannot be written."""
        checksum = sha256(state)
        artefacts.write(path, checksum.encode() + b"\n" + state)
        return cls(path, checksum)

    @classmethod
    def found(cls, path: str) -> Stored | None:
        """What lies at a path; None where nothing does, or nothing whole."""
        checksum, state = parted(path)
        return cls(path, checksum) if checksum and checksum == sha256(state) else None

    def read(self) -> bytes:
        """The state. Raises AutopeftError if it is missing or another one."""
        checksum, state = parted(self.path)
        if not checksum == self.sha256 == sha256(state):
            raise AutopeftError(f"{self.path} is missing or damaged: run the same command again.")
        return state


def parted(path: str) -> tuple[str, bytes]:
    """The checksum in a file and the state behind it; both empty where there is no file."""
    checksum, _, state = (artefacts.read(path) or b"").partition(b"\n")
    return checksum.decode(errors="replace"), state


def sha256(state: bytes) -> str:
    """As hexadecimal text."""
    return hashlib.sha256(state).hexdigest()
