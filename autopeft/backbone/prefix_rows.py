"""The rows whose hidden states at one boundary are at hand: which piece holds each, and where in it."""

import numpy as np
import torch

from autopeft.backbone.prefix_pieces import Piece


class StoredRows:
    """Pieces of one boundary, looked up by row; every row is read from the piece that was added last.

    Args:
        lengths: the tokens of every row of the task.
    """

    def __init__(self, lengths: np.ndarray) -> None:
        self.lengths = lengths
        self.piece = np.full(len(lengths), -1)  # the number of a row's piece, -1 where there is none
        self.begin = np.zeros(len(lengths), np.int64)  # of the row's first token in its piece
        self.states: dict[int, torch.Tensor] = {}
        self.pending: list[int] = []  # numbers of the pieces that lie in no file yet
        self._next = 0

    def add(self, piece: Piece) -> int:
        """Take up a piece; gives the number it gets here."""
        number, self._next = self._next, self._next + 1
        self.states[number] = piece.states
        self.piece[piece.rows] = number
        self.begin[piece.rows] = np.cumsum(self.lengths[piece.rows]) - self.lengths[piece.rows]
        return number

    def has(self, rows: np.ndarray) -> np.ndarray:
        """Whether each of the rows (N,) is at hand, (N,)."""
        return self.piece[rows] >= 0

    def of(self, row: int) -> torch.Tensor:
        """The states of a row, (its tokens, H)."""
        begin = self.begin[row]
        return self.states[self.piece[row]][begin : begin + self.lengths[row]]

    def take_pending(self) -> Piece | None:
        """All that lies in no file yet and in no other piece, as one piece; it is no longer at hand here."""
        rows = np.flatnonzero(np.isin(self.piece, self.pending))
        piece = Piece(rows, torch.cat([self.of(int(row)) for row in rows])) if len(rows) else None
        self.piece[rows] = -1
        for number in self.pending:
            del self.states[number]
        self.pending.clear()
        return piece
