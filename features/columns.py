"""Events as columns: the packed record that a batch, an account's history and RocksDB share.

One record dtype serves all three, so inserting an event into a history is one copy and nothing is translated.
Identifiers are stable 64-bit hashes (0 = absent), money is integer minor units of the base currency.
"""

from itertools import product
from string import ascii_uppercase
from typing import Any

import numpy as np
from numpy.typing import NDArray

PAYMENT = 1
LOGIN = 2
PROFILE_CHANGE = 3
APPLICATION = 4
LABEL = 5

KIND_NAMES: dict[int, str] = {
    PAYMENT: "payment",
    LOGIN: "login",
    PROFILE_CHANGE: "profile_change",
    APPLICATION: "application",
    LABEL: "label",
}
JUDGED_KINDS = (PAYMENT, LOGIN, APPLICATION)
"""The kinds that get a verdict; a profile change and a label only feed state."""

DECLINED = 1
"""Mark of a payment that the issuer declined."""
FAILED = 2
"""Mark of a login that did not succeed."""
FRAUD = 4
"""Mark set by a label: the event was fraud."""
LEGIT = 8
"""Mark set by a label: the event was legitimate."""

METHODS: dict[str, int] = {"card": 1, "bnpl": 2, "p2p": 3, "transfer": 4}
CHANNELS: dict[str, int] = {"ecom": 1, "app": 2, "pos": 3, "atm": 4, "api": 5}

NOT_JUDGED = 255
"""Value of `decision` in a record that has no verdict."""
NO_SCORE = -1
"""Value of `score_micro` and `anomaly_micro` where there is no score (not judged, or not yet warm)."""

EVENT = np.dtype(
    [
        ("time_ms", np.int64),  # event time
        ("offset", np.int64),  # place in the log: the order of arrival
        ("event_hash", np.uint64),  # hash of event_id
        ("amount_minor", np.int64),  # base currency; 0 where the event has no amount
        ("merchant", np.uint64),
        ("device", np.uint64),
        ("ip", np.uint64),
        ("beneficiary", np.uint64),
        ("content_hash", np.uint32),  # tells a duplicate from a conflict
        ("bin", np.uint32),
        ("network", np.uint32),  # `features.network` of the IP address; 0 = none
        ("email_domain", np.uint32),  # `features.email_domain`; 0 = none
        ("score_micro", np.int32),  # published score * 1e6
        ("anomaly_micro", np.int32),
        ("latitude", np.float32),  # NaN = absent
        ("longitude", np.float32),
        ("country", np.uint16),  # country_code(); 0 = absent
        ("category", np.uint16),  # merchant category code; 0 = absent
        ("kind", np.uint8),
        ("marks", np.uint8),
        ("decision", np.uint8),  # index into models.decision.OUTCOMES, NOT_JUDGED before the verdict
        ("context", np.uint8),  # METHODS value + 16 * CHANNELS value
    ]
)
"""One event, 104 bytes, little-endian, no padding."""

Events = NDArray[np.void]
"""Array of `EVENT` records, in order of arrival (a batch) or of time (a history)."""


def empty_events(length: int) -> Events:
    """`length` records with every optional field absent."""
    events = np.zeros(length, dtype=EVENT)
    events["latitude"] = np.nan
    events["longitude"] = np.nan
    events["score_micro"] = NO_SCORE
    events["anomaly_micro"] = NO_SCORE
    events["decision"] = NOT_JUDGED
    return events


_COUNTRY_CODES = {first + second: code for code, (first, second) in enumerate(product(ascii_uppercase, repeat=2), 1)}


def country_code(country: str | None) -> int:
    """Two capital letters as a number from 1 to 676; 0 = absent.

    >>> country_code("AA"), country_code("ZZ"), country_code(None)
    (1, 676, 0)
    """
    return 0 if country is None else _COUNTRY_CODES[country]


def record_of(**fields: Any) -> Events:
    """One `EVENT` record as an array of length 1, absent fields as in `empty_events`; for tests and examples.

    >>> int(record_of(time_ms=5, kind=PAYMENT)["time_ms"][0])
    5
    """
    event = empty_events(1)
    for name, value in fields.items():
        event[name] = value
    return event
