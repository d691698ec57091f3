"""The folder of a task's stored hidden states, which processes and studies share: what it is named after, who writes.

Whoever writes holds a lock, looks first at what others have written, and leaves the rest alone: a row is not stored
twice, and the space limit holds for the folder. A killed process releases its lock; what it was writing is removed by
the next one that writes.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from autopeft.backbone.loading import Backbone
from autopeft.backbone.prefix_pieces import VERSION, Damaged, Layout, Piece, open_piece, write_piece
from autopeft.base.packages import cache_folder, silent
from autopeft.base.steady import steady
from autopeft.tasks.tokens import PARTS, TokenisedTask

try:
    import fcntl
except ImportError:  # Windows: two processes at once may store a row twice
    fcntl = None  # type: ignore[assignment]  # the module's own type has no None

IDENTITY_BYTES = 4096  # of each weight, to know the backbone by
TASKS_KEPT = 4  # folders that stay in the cache; the least recently used go first
PATIENCE = 2.0  # seconds to wait for another writer: storing is worth no more


class PieceFolder:
    """Reads the pieces of some layouts in a folder as they appear, and writes new ones.

    Args:
        path: the folder, made when something is written.
        layouts: by boundary, what is read.
        lengths: the tokens of every row of the task.
        limit: bytes of states that all pieces together may hold when one is added.
        note: told, a line at a time, which pieces cannot be used.
    """

    def __init__(
        self,
        path: Path,
        layouts: Mapping[int, Layout],
        lengths: np.ndarray,
        limit: int,
        note: Callable[[str], None] = silent,
    ) -> None:
        self.path, self.layouts, self.lengths, self.limit, self.note = path, layouts, lengths, limit, note
        self.boundary = {layout.key: k for k, layout in layouts.items()}
        self.seen: set[str] = set()
        self.opened_by = os.getpid()

    def new(self) -> list[tuple[int, Piece]]:
        """(boundary, piece) of those that have appeared since this was last asked; what is damaged is said and removed."""
        found, bad = [], []
        for path in self._pieces():
            boundary = self.boundary.get(path.name.split("-")[0])
            if boundary is None or path.name in self.seen:
                continue
            self.seen.add(path.name)
            try:
                found.append((boundary, open_piece(path, self.layouts[boundary], self.lengths)))
            except FileNotFoundError:  # removed by another process in this moment
                continue
            except (Damaged, OSError, RuntimeError) as error:
                bad.append((path, str(error)))
        if bad and os.getpid() == self.opened_by:  # a worker leaves it to the next study, which can say so
            reasons = ", ".join(sorted({reason for _, reason in bad}))
            self.note(
                f"Stored hidden states: {len(bad)} of {len(bad) + len(found)} files in {self.path} are unusable "
                f"({reasons}); what they held is computed anew."
            )
            for path, _ in bad:
                path.unlink(missing_ok=True)
        return found

    def _pieces(self) -> list[Path]:
        return sorted(self.path.glob("*.piece"))

    @contextmanager
    def writing(self) -> Iterator[bool]:
        """For the length of a with block the only process that writes here; False where another one does not end.

        Raises:
            OSError: the folder cannot be made.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / "lock", "ab") as file:
            alone = locked(file.fileno())
            if alone:
                for part in self.path.glob("*.part"):  # of a process that was killed: no other one writes now
                    part.unlink(missing_ok=True)
            yield alone

    def write(self, boundary: int, piece: Piece) -> Piece | None:
        """Write a piece and give it as it lies in the file; None, and nothing written, where the limit would be passed.

        Raises:
            OSError: the disk is full.
        """
        held = sum(int(path.stem.split("-")[2]) for path in self._pieces())
        if held + piece.bytes > self.limit:
            return None
        path = write_piece(self.path, self.layouts[boundary], piece)
        self.seen.add(path.name)
        return open_piece(path, self.layouts[boundary], self.lengths, verify=False)


def locked(descriptor: int) -> bool:
    """Take the lock of an open file, which its closing releases; False where another process keeps it too long."""
    until = steady() + PATIENCE
    while fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if steady() > until:
                return False
            time.sleep(0.01)
    return True


def prepared_folder(task: str) -> Path:
    """The folder of a task and backbone; of all such folders only the last few that were used are kept."""
    folder = cache_folder() / "prefixes" / task
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    others = sorted((p for p in folder.parent.iterdir() if p != folder), key=lambda p: p.stat().st_mtime, reverse=True)
    for old in others[TASKS_KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def identity(backbone: Backbone, tokenised: TokenisedTask) -> str:
    """Twenty hexadecimal digits that change with a token, a weight, the number format, the attention or the library."""
    import transformers

    digest = hashlib.sha256(f"{VERSION} {torch.__version__} {transformers.__version__}".encode())
    digest.update(str(backbone.model.config._attn_implementation).encode())
    head = tuple(f"{path}." for path in backbone.shapes.head_modules)
    for name, parameter in backbone.model.named_parameters():
        if not name.startswith(head):
            start = parameter.detach().flatten()[:IDENTITY_BYTES].float().cpu().numpy()
            digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}".encode() + start.tobytes())
    for part in PARTS:
        split = getattr(tokenised, part)
        for rows in (split.input_ids, split.token_type_ids or ()):
            digest.update(np.concatenate(rows).tobytes() if rows else b"")
        digest.update(split.lengths.tobytes())
        digest.update(b"" if split.features is None else split.features)
    return digest.hexdigest()[:20]
