"""The domain of an e-mail address: what stands behind its last `@`.

Producers send a keyed hash in place of the address, and may leave the domain: `9f86d081@example.com`. A hash without a
domain has none. Letters of ASCII count in either case as the same.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled

NO_DOMAIN: Final = 0
_AT, _UPPER_A, _UPPER_Z, _CASE = np.uint8(ord("@")), np.uint8(ord("A")), np.uint8(ord("Z")), np.uint64(32)
_NONE, _ONE, _HALF, _LOW = np.uint64(0), np.uint64(1), np.uint64(32), np.uint64(0xFFFFFFFF)
_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


@compiled
def domain_at(data: NDArray[np.uint8], start: int, length: int) -> Any:
    """uint64 below 2^32: hash of the domain in a stretch of text, never 0; 0 if it has none.

    The hash is FNV-1a (Fowler, Noll, Vo) of 64 bits, folded to 32: it goes letter by letter, so none has to be copied
    to be made small.

    Args:
        data: uint8[m], UTF-8.
        start: where the text begins.
        length: in bytes.
    """
    end = start + length
    place = end - 1
    while place >= start and data[place] != _AT:
        place -= 1
    if place < start or place == end - 1:
        return _NONE
    digest = _BASIS
    for letter in range(place + 1, end):
        sign = np.uint64(data[letter])
        if _UPPER_A <= data[letter] <= _UPPER_Z:
            sign |= _CASE
        digest = (digest ^ sign) * _PRIME
    return max((digest >> _HALF) ^ (digest & _LOW), _ONE)


def domain_of(email: str) -> int:
    """Hash of the domain; 0 if there is none.

    >>> domain_of("9f86d081@Example.com") == domain_of("60303ae2@example.com") != domain_of("9f86d081@example.org")
    True
    >>> domain_of("9f86d081"), domain_of("9f86d081@")
    (0, 0)
    """
    text = email.encode()
    return int(domain_at(np.frombuffer(text, dtype=np.uint8), 0, len(text)))
