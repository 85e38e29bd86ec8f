"""What names an event, and identifiers as stable 64-bit hashes: the same on every machine and in every process.

The hash is fast, not secret: whoever knows an identifier can compute it. 0 means "absent" and is never returned for a
present identifier. Two identifiers of one account collide with a chance of about n^2 / 2^65.
"""

from typing import NamedTuple

from xxhash import xxh3_64_intdigest


class EventName(NamedTuple):
    """What names an event: ids are unique within an account, and two producers may give one to two accounts.

    Attributes:
        event_id: its id.
        account_id: its account.
    """

    event_id: str
    account_id: str


def hash64(identifier: str) -> int:
    """Hash of an identifier, from 1 to 2^64 - 1.

    >>> hash64("merchant-1") == hash64("merchant-1"), hash64("merchant-1") == hash64("merchant-2")
    (True, False)
    """
    return xxh3_64_intdigest(identifier.encode()) or 1
