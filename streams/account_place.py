"""Which partition an account's events go to, and in which order to look if that cannot be known.

Producers that follow Kafka's Java clients hash the key with murmur2; the simulator does so too. librdkafka's own
default is another hash, so the place is only where to look first.
"""

from collections.abc import Sequence

_MASK = 0xFFFFFFFF
_MULTIPLIER = 0x5BD1E995
_SEED = 0x9747B28C


def murmur2(data: bytes) -> int:
    """The 32-bit hash of Kafka's default partitioner, unsigned.

    >>> murmur2(b"foobar") - 2**32
    -790332482
    """
    hashed = _SEED ^ len(data)
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _MULTIPLIER & _MASK
        word = (word ^ word >> 24) * _MULTIPLIER & _MASK
        hashed = (hashed * _MULTIPLIER & _MASK) ^ word
    if rest := data[whole:]:
        hashed = (hashed ^ int.from_bytes(rest, "little")) * _MULTIPLIER & _MASK
    hashed = (hashed ^ hashed >> 13) * _MULTIPLIER & _MASK
    return hashed ^ hashed >> 15


def expected_partition(account_id: str, partitions: int) -> int:
    """Where a Java producer, or one with ``murmur2_random``, sends the account's events.

    >>> expected_partition("a1", 8)
    7
    """
    return (murmur2(account_id.encode()) & 0x7FFFFFFF) % partitions


def search_order(account_id: str, there: Sequence[int], partitions: int) -> list[int]:
    """Those partitions that are there, the expected one first.

    Args:
        account_id: the account.
        there: numbers to order, rising.
        partitions: how many the topic has.
    """
    first = expected_partition(account_id, partitions)
    return sorted(there, key=lambda number: (number != first, number))
