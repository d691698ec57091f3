"""The frozen prefix: hidden states below the lowest adapted block, computed once and read by every later run.

A row's states are stored the first time a run passes it, so a cache never costs a pass of its own; a run that freezes
more blocks fills the boundaries below for the runs to come. What a run has computed becomes pieces (`prefix_pieces`) in
the user's cache folder (`prefix_folder`), which other workers, trials and later studies read; on CUDA it stays on the
device. A batch is read only when all of its rows are stored. In fp32 what is read is bit-equal to what the same batch
would compute; rows of a batch that was composed otherwise may differ in the last bits, as they do without a cache.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import nn

from autopeft.backbone.loading import Backbone
from autopeft.backbone.prefix_folder import PieceFolder, identity, prepared_folder
from autopeft.backbone.prefix_passage import Passage
from autopeft.backbone.prefix_pieces import Layout, Piece
from autopeft.backbone.prefix_rows import StoredRows
from autopeft.base.packages import silent
from autopeft.tasks.batches import collate, moved
from autopeft.tasks.tokens import PARTS, TokenisedTask

DEVICE_SHARE = 0.3  # of the free device memory that cached states may take
PENDING = 64 * 2**20  # bytes of states that a process computes before it writes them into files


class PrefixCache:
    """Stored hidden states of rows at several boundaries; boundary k is what block k - 1 returns.

    Args:
        backbone: whose blocks are passed.
        tokenised: the task, of whose splits all rows are numbered one after the other.
        limit: bytes for all boundaries together; where they do not all fit, evenly spread ones are kept. States at
            other boundaries that another study has stored are read, too.
        folder: where the pieces lie; by default a folder of this task and backbone in the user's cache.
        note: told, a line at a time, which stored pieces cannot be used.
    """

    def __init__(
        self,
        backbone: Backbone,
        tokenised: TokenisedTask,
        limit: int,
        folder: Path | None = None,
        note: Callable[[str], None] = silent,
    ) -> None:
        self.blocks = backbone.model.get_submodule(backbone.shapes.blocks_path)  # of two stacks the encoder's
        splits = [getattr(tokenised, part) for part in PARTS]
        self.lengths = np.concatenate([s.lengths for s in splits])
        self.first_row = dict(zip(PARTS, np.cumsum([0] + [len(s) for s in splits])))
        weight = next(backbone.model.parameters())
        self.width, self.dtype, self.device = backbone.shapes.hidden_size, weight.dtype, weight.device
        one = int(self.lengths.sum()) * self.width * weight.element_size()
        if weight.is_cuda:
            limit = min(limit, int(DEVICE_SHARE * torch.cuda.mem_get_info(weight.device)[0]))
        deepest = 0 if makes_biases(self.blocks[0]) else len(self.blocks)
        self.boundaries = spread(deepest, min(deepest, limit // max(1, one)))
        self.bytes = one * len(self.boundaries)
        self.stored = {k: StoredRows(self.lengths) for k in range(1, deepest + 1)}
        self.pending_bytes = 0
        self.full = False  # nothing more can be stored
        self.files: PieceFolder | None = None
        if self.boundaries and not weight.is_cuda:
            task, name = identity(backbone, tokenised), str(self.dtype).removeprefix("torch.")
            layouts = {k: Layout(task, k, self.width, name) for k in self.stored}
            self.files = PieceFolder(folder or prepared_folder(task), layouts, self.lengths, limit, note)
        self.refresh()
        self.tuples = self._tuple_sizes(backbone, tokenised) if self.boundaries else ()
        self.read_rows = self.computed_rows = 0  # that a run with a frozen prefix took from here, or had to compute

    @torch.no_grad()
    def _tuple_sizes(self, backbone: Backbone, tokenised: TokenisedTask) -> tuple[int, ...]:
        """For each block, how long the tuple is that holds its hidden states, 0 for none: seen on the first unit."""
        seen: list[int] = []
        hooks = [
            b.register_forward_hook(lambda _, __, out: seen.append(len(out) if isinstance(out, tuple) else 0))
            for b in self.blocks
        ]
        inputs, _ = collate(tokenised.train, tokenised.train.expand(np.arange(1)), tokenised.pad_token_id)
        backbone.model(**moved(inputs, next(backbone.model.parameters())))
        for hook in hooks:
            hook.remove()
        return tuple(seen)

    @contextmanager
    def below(self, frozen: int) -> Iterator[Callable | None]:
        """For the length of a with block the first `frozen` blocks read and fill the cache.

        Gives a function place(part, rows, width) to be called before each forward; None when nothing is cached.
        """
        self.refresh()
        depths = tuple(k for k in sorted(self.stored, reverse=True) if k <= frozen and self._used(k))
        if not depths:
            yield None
            return
        passage = Passage(self, depths)
        try:
            yield passage.place
        finally:
            passage.remove()
            self.flush()

    def _used(self, boundary: int) -> bool:
        return boundary in self.boundaries or bool(self.stored[boundary].states)

    def has(self, depth: int, rows: np.ndarray) -> bool:
        """Whether the states of all of these rows are stored at this boundary."""
        return bool(self.stored[depth].has(rows).all())

    def read(self, depth: int, rows: np.ndarray, width: int) -> torch.Tensor:
        """(B, S, H), zeros where a row is padded."""
        out = torch.zeros(len(rows), width, self.width, dtype=self.dtype, device=self.device)
        stored = self.stored[depth]
        for place, row in enumerate(rows):
            out[place, : self.lengths[row]] = stored.of(row)
        return out

    def fill(self, depth: int, rows: np.ndarray, hidden: torch.Tensor) -> None:
        """Store (B, S, H) for the rows that are not stored yet."""
        stored = self.stored[depth]
        new = {row: place for place, row in enumerate(rows) if stored.piece[row] < 0}
        if self.full or not new:
            return
        states = torch.cat([hidden[place, : self.lengths[row]] for row, place in new.items()]).detach().to(self.dtype)
        piece = Piece(np.array(list(new)), states)
        number = stored.add(piece)
        if self.files:
            stored.pending.append(number)
            self.pending_bytes += piece.bytes
            if self.pending_bytes > PENDING:
                self.flush()

    def refresh(self) -> None:
        """Take up what other processes have stored meanwhile."""
        for boundary, piece in self.files.new() if self.files else ():
            self.stored[boundary].add(piece)

    def flush(self) -> None:
        """Write what lies in no file yet, unless others have; without room nothing more is stored from here on."""
        waiting = [k for k in self.boundaries if self.stored[k].pending]
        if not self.files or not waiting:
            return
        try:
            with self.files.writing() as alone:
                self.refresh()
                for boundary in waiting:
                    piece = self.stored[boundary].take_pending()
                    if piece and alone:
                        self._write(self.files, boundary, piece)
        except OSError:  # the disk is full: what is not stored is computed
            self.full = True
        for boundary in waiting:
            self.stored[boundary].take_pending()
        self.pending_bytes = 0

    def _write(self, files: PieceFolder, boundary: int, piece: Piece) -> None:
        if mapped := files.write(boundary, piece):
            self.stored[boundary].add(mapped)
        else:
            self.full = True


def makes_biases(block: nn.Module) -> bool:
    """Whether the later blocks read what this one computes beside the hidden states (T5's relative positions)."""
    return any(path.endswith("relative_attention_bias") for path, _ in block.named_modules())


def spread(layers: int, number: int) -> tuple[int, ...]:
    """`number` boundaries of 1 .. layers, evenly spread, the last always among them."""
    return tuple(sorted({-(-layers * (i + 1) // number) for i in range(number)}))
