"""Identifiers as stable 64-bit hashes: the same on every machine and in every process.

The hash is fast, not secret: whoever knows an identifier can compute it. 0 means "absent" and is never returned for a
present identifier. Two identifiers of one account collide with a chance of about n^2 / 2^65.
"""

from xxhash import xxh3_64_intdigest


def hash64(identifier: str) -> int:
    """Hash of an identifier, from 1 to 2^64 - 1.

    >>> hash64("merchant-1") == hash64("merchant-1"), hash64("merchant-1") == hash64("merchant-2")
    (True, False)
    """
    return xxh3_64_intdigest(identifier.encode()) or 1
