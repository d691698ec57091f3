"""Pieces of stored hidden states: files that say what they hold, are written whole and are checked when opened.

A file is a header of 512 bytes (JSON), the row numbers, the states and a CRC-32 of all that. Its name begins with the
hash of its layout, so states of another boundary, width, format or task are never looked at. A piece is written beside
its place and renamed, and never changed again: a process that has it mapped can neither see half of it nor lose it.
"""

import hashlib
import json
import os
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

VERSION = 2  # 1 was one growing file per boundary with a table of what was stored
HEADER, CHECKSUM = 512, 4  # bytes
ROW = np.dtype("<i8")


class Damaged(Exception):
    """What a file holds is not what was written, or belongs to something else; the message says which."""


@dataclass(frozen=True)
class Layout:
    """What the numbers of a piece mean.

    Attributes:
        task: the fingerprint of backbone and data (`prefix_folder.identity`).
        boundary: k, for what block k - 1 returns.
        width: H.
        dtype: torch's name of the number format.
    """

    task: str
    boundary: int
    width: int
    dtype: str
    version: int = VERSION

    @property
    def key(self) -> str:
        """Sixteen hexadecimal digits that change with any of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Piece:
    """Rows (N,) by number, and their states (tokens of these rows one after the other, H)."""

    rows: np.ndarray
    states: torch.Tensor

    @property
    def bytes(self) -> int:
        """Of the states."""
        return self.states.numel() * self.states.element_size()


def write_piece(folder: Path, layout: Layout, piece: Piece) -> Path:
    """Write a piece beside its place and rename it. Not flushed: what a power cut leaves, the checksum tells.

    Raises:
        OSError: there is no room, or no folder.
    """
    states = piece.states.cpu().contiguous()
    about = {"layout": asdict(layout), "rows": len(piece.rows), "tokens": len(states)}
    parts: list[bytes] = [
        json.dumps(about).encode().ljust(HEADER - 1) + b"\n",
        piece.rows.astype(ROW).tobytes(),
        states.view(torch.uint8).numpy().data.cast("B"),
    ]
    checksum = 0
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    path = folder / f"{layout.key}-{checksum:08x}-{piece.bytes}.piece"
    beside = folder / f"{path.stem}.{os.getpid()}.part"
    try:
        with open(beside, "wb") as file:
            file.writelines([*parts, checksum.to_bytes(CHECKSUM, "little")])
        os.replace(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    return path


def open_piece(path: Path, layout: Layout, lengths: np.ndarray, verify: bool = True) -> Piece:
    """Map a piece into memory once it is found whole.

    Args:
        path: of the file; changes of the mapped numbers never reach it.
        layout: what it has to be.
        lengths: the tokens of every row of the task.
        verify: compute the checksum, which takes .3 s a GB beside reading the file; not needed of one's own.

    Raises:
        Damaged: it is short, of another layout, or its checksum is not that of its content.
    """
    size = path.stat().st_size
    if size < HEADER:
        raise Damaged("cut short")
    whole = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)
    content = whole.numpy()
    rows, tokens = stated(bytes(content[:HEADER]), layout)
    dtype = getattr(torch, layout.dtype)
    begin = HEADER + rows * ROW.itemsize
    end = begin + tokens * layout.width * dtype.itemsize
    if size != end + CHECKSUM:
        raise Damaged("cut short")
    if verify and zlib.crc32(content[:end]) != int.from_bytes(bytes(content[end:]), "little"):
        raise Damaged("changed since it was written")
    numbers = np.frombuffer(bytes(content[HEADER:begin]), ROW)
    if rows and (numbers.min() < 0 or numbers.max() >= len(lengths)) or lengths[numbers].sum() != tokens:
        raise Damaged("of other rows")
    return Piece(numbers, whole[begin:end].view(dtype).view(tokens, layout.width))


def stated(header: bytes, layout: Layout) -> tuple[int, int]:
    """The numbers of rows and tokens that a header states. Raises Damaged."""
    try:
        about = json.loads(header)
        rows, tokens, found = int(about["rows"]), int(about["tokens"]), about["layout"]
    except (ValueError, KeyError, TypeError):
        raise Damaged("changed since it was written") from None
    if found != asdict(layout):
        raise Damaged("of another layout")
    if rows < 0 or tokens < 0:
        raise Damaged("changed since it was written")
    return rows, tokens
