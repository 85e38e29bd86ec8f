"""Identifiers of a batch side by side in one buffer: what kernels read instead of strings."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.identity import hash64


class Texts(NamedTuple):
    """Stretches of one buffer, each a text in UTF-8."""

    data: NDArray[np.uint8]
    """uint8[m], C-contiguous."""
    start: NDArray[np.int64]
    """int64[n], where each begins in `data`."""
    length: NDArray[np.int64]
    """int64[n], in bytes."""


class Keys(NamedTuple):
    """Identifiers as UTF-8, each a stretch of one buffer, and their hashes.

    Stretches may lie in any order, overlap, and leave gaps: those of a decoded batch point into the records themselves.
    """

    data: NDArray[np.uint8]
    """uint8[m], C-contiguous."""
    start: NDArray[np.int64]
    """int64[n], where each identifier begins in `data`."""
    length: NDArray[np.int64]
    """int64[n], in bytes."""
    hash: NDArray[np.uint64]
    """uint64[n], `features.identity.hash64` of each."""


def keys_of(names: Sequence[str]) -> Keys:
    """Identifiers that are strings; for the few that do not come out of a decoded batch.

    >>> keys = keys_of(["a1", "b22"])
    >>> keys.start.tolist(), keys.length.tolist(), key_at(keys, 1)
    ([0, 2], [2, 3], b'b22')
    """
    hashes = np.fromiter(map(hash64, names), dtype=np.uint64, count=len(names))
    return Keys(*texts_of([name.encode() for name in names]), hashes)


def texts_of(parts: Sequence[bytes], slack: bytes = b"") -> Texts:
    """Texts one behind the other, and `slack` behind the last."""
    length = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
    return Texts(np.frombuffer(b"".join((*parts, slack)), dtype=np.uint8), np.cumsum(length) - length, length)


def key_at(keys: Keys | Texts, place: int) -> bytes:
    """One of them as UTF-8."""
    start = int(keys.start[place])
    return keys.data[start : start + int(keys.length[place])].tobytes()
