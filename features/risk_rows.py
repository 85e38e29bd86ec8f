"""What entity risk is told and what it tells: rows of outcomes and volumes in, profiles out.

An entity is something that payments of many accounts have in common: a merchant, a device, a network. It is named by
its kind and the hash of its identifier (`features.identity.hash64`), which is never 0.
"""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

KINDS = ("merchant", "device", "network", "bin", "email_domain", "beneficiary")
"""Names of the kinds; a row's `kind` is a place here."""

OUTCOME = np.dtype(
    [
        ("event", np.uint64),  # hash of account and judged event; never 0
        ("entity", np.uint64),
        ("parent", np.uint64),  # what lends its rate while little is known: the category of a merchant; 0: none
        ("event_time_ms", np.int64),
        ("known_at_ms", np.int64),
        ("label", np.uint64),  # hash of the label record's id: decides between labels of one millisecond
        ("kind", np.uint8),
        ("fraud", np.bool_),
    ],
    align=True,
)
"""One entity of a payment that a label judges.

A label makes one row for each entity of its event, at most one of a kind. All labels of an event make rows with the
same entities, parents and time, because these are the event's.
"""

VOLUME = np.dtype(
    [
        ("entity", np.uint64),
        ("parent", np.uint64),
        ("flush", np.int64),  # rising within a source; numbers may be left out
        ("day", np.int32),  # of the payments' own time: days since 1970-01-01 UTC
        ("payments", np.int32),  # how many this flush adds, 0 or more
        ("source", np.int16),  # who counted: one number for each partition (and shard, where flushes are cut up)
        ("kind", np.uint8),
    ],
    align=True,
)
"""How many payments of an entity and a day one flush adds. A flush names each entity and day at most once."""

PROFILE = np.dtype(
    [
        ("entity", np.uint64),
        ("as_of_ms", np.int64),
        ("payments_30d", np.int64),
        ("frauds_30d", np.int64),
        ("rate_7d", np.float32),
        ("rate_30d", np.float32),
        ("rate_90d", np.float32),
        ("kind", np.uint8),
    ],
    align=True,
)
"""Profiles as columns, see `RiskProfile`."""

ENTITY = np.dtype([("entity", np.uint64), ("kind", np.uint8)], align=True)
"""The name of an entity."""


class RiskProfile(msgspec.Struct, frozen=True, kw_only=True):
    """How often payments of an entity turned out to be fraud, see `docs/risk.md`.

    Attributes:
        rate_7d: smoothed share of fraud among the matured payments of 7 days, 0 to 1. A float32, exactly.
        rate_30d: the same of 30 days.
        rate_90d: the same of 90 days.
        payments_30d: matured payments of 30 days.
        frauds_30d: those of them that the newest label calls fraud.
        as_of_ms: when this was so; no label that was learned later counts.
    """

    rate_7d: float
    rate_30d: float
    rate_90d: float
    payments_30d: int
    frauds_30d: int
    as_of_ms: int


def profile_of(row: NDArray[np.void] | np.void) -> RiskProfile:
    """One record of `PROFILE` as an object.

    >>> row = np.zeros(1, dtype=PROFILE)
    >>> row["rate_30d"] = 0.1
    >>> profile_of(row[0]).rate_30d == float(np.float32(0.1))
    True
    """
    return RiskProfile(**{name: row[name].item() for name in RiskProfile.__struct_fields__})


def rows_in_order(rows: NDArray[Any], *names: str) -> NDArray[np.int64]:
    """Places of structured `rows` in rising order of these columns, the first deciding first."""
    return np.lexsort([rows[name] for name in reversed(names)])
