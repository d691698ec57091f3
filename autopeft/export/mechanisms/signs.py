"""An update -> the signs of its largest entries times one number, coded near their entropy.

ComPEFT, Yadav et al. 2023, arXiv 2311.13171, algorithm 1: with density k an entry costs about H(k) + k bits.
"""

import math
import zlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Signs:
    """An update (n,) whose entries are -scale, 0 or scale."""

    size: int  # n
    places: np.ndarray  # (k n,) of those that are not 0, ascending
    positive: np.ndarray  # (k n,) bool
    scale: float

    @classmethod
    def of(cls, update: np.ndarray, density: float, alpha: float) -> "Signs":
        """Keep the signs of the share `density` of largest magnitude; scale = alpha * std of the whole update.

        Args:
            update: the update, (n,).
            density: the share of entries to keep, above 0 and at most 1.
            alpha: the scale in standard deviations of the update.
        """
        number = max(1, round(density * update.size))
        places = np.sort(np.argsort(-np.abs(update), kind="stable")[:number])
        places = places[update[places] != 0]
        return cls(update.size, places, update[places] > 0, float(np.float32(alpha * update.std(dtype=np.float64))))

    def dense(self) -> np.ndarray:
        """The update itself, (n,) fp32."""
        out = np.zeros(self.size, dtype=np.float32)
        out[self.places] = np.where(self.positive, self.scale, -self.scale)
        return out

    def pack(self) -> dict[str, np.ndarray]:
        """Where and which sign as bytes: one bit per entry under zlib, one bit per sign as it is."""
        mask = np.zeros(self.size, dtype=bool)
        mask[self.places] = True
        return {
            "mask": as_bytes(squeeze(np.packbits(mask).tobytes())),
            "signs": np.packbits(self.positive),
            "scale": np.array([self.scale], dtype=np.float32),
        }

    @classmethod
    def unpack(cls, packed: dict[str, np.ndarray], size: int) -> "Signs":
        """What `pack` wrote of an update of `size` entries."""
        mask = np.unpackbits(as_bytes(zlib.decompress(packed["mask"].tobytes())), count=size)
        places = np.flatnonzero(mask)
        positive = np.unpackbits(packed["signs"], count=places.size).astype(bool)
        return cls(size, places, positive, float(packed["scale"][0]))


def squeeze(data: bytes) -> bytes:
    """The shorter of zlib with repetitions and without: places without a pattern are best left to the Huffman code."""
    coded = []
    for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY):
        coder = zlib.compressobj(9, strategy=strategy)
        coded.append(coder.compress(data) + coder.flush())
    return min(coded, key=len)


def as_bytes(data: bytes) -> np.ndarray:
    """Bytes -> uint8 (n,)."""
    return np.frombuffer(data, dtype=np.uint8)


def entropy(density: float) -> float:
    """Bits per entry that no code of independent places and signs goes below: H(k) + k."""
    if density >= 1:
        return 1.0
    return -density * math.log2(density) - (1 - density) * math.log2(1 - density) + density
