"""Names that give nothing away: codes scrambled to hexadecimal, so that no identifier shows who made it, or when.

An attacker's device must look like any other; a running number would sort them out at once.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

DEVICE, EMAIL, PHONE, ADDRESS, NATIONAL_ID, CARD, BENEFICIARY, BANK, PERSON, TYPIST, VISIT, DOMAIN = range(1, 13)
"""What a code stands for; the same code gives a different number for each."""


def scrambled(codes: ArrayLike, purpose: int, seed: int = 0) -> NDArray[np.uint64]:
    """A fixed pseudo-random number for each code; different codes have different numbers.

    The mixing function is splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).

    >>> scrambled([1, 2], DEVICE).tolist() == scrambled([1, 2], DEVICE).tolist() != scrambled([1, 2], EMAIL).tolist()
    True
    """
    mixed = np.asarray(codes, dtype=np.int64).astype(np.uint64) ^ np.uint64(purpose << 56)
    if seed:
        mixed = mixed ^ _mix(np.array([seed % 2**63], dtype=np.uint64))
    return _mix(mixed)


def _mix(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def deviates(codes: ArrayLike, purpose: int, count: int, seed: int) -> NDArray[np.float64]:
    """`count` fixed, nearly normal numbers (mean 0, deviation 1) for each code, float64[n, count].

    Each is the sum of four uniform numbers of 16 bits (Irwin-Hall), scaled.
    """
    several = np.asarray(codes, dtype=np.int64)[:, None] ^ (np.arange(count, dtype=np.int64) << 44)
    parts = scrambled(several, purpose, seed).view(np.uint16).reshape(*several.shape, 4)
    result: NDArray[np.float64] = (parts.sum(axis=2, dtype=np.int64) / 65_536.0 - 2.0) * np.sqrt(3.0)
    return result


def names(codes: NDArray[np.signedinteger[Any]], purpose: int, prefix: str, seed: int) -> list[str | None]:
    """Prefix and 12 hexadecimal digits for each code; None where the code is negative.

    Twelve digits are too few to be taken for a card number.

    >>> [name and len(name) for name in names(np.array([5, -1]), DEVICE, "d", seed=1)]
    [13, None]
    """
    result: list[str | None] = [None] * len(codes)
    where = np.flatnonzero(codes >= 0)
    numbers = scrambled(codes[where], purpose, seed) >> np.uint64(16)
    for position, number in zip(where.tolist(), numbers.tolist(), strict=True):
        result[position] = f"{prefix}{number:012x}"
    return result


def event_id(number: int) -> str:
    """Name of the event with this position.

    >>> event_id(123)
    'e0000000123'
    """
    return f"e{number:010d}"


def account_id(account: int) -> str:
    """Name of an account.

    >>> account_id(123)
    'a000123'
    """
    return f"a{account:06d}"
