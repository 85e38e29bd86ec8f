"""Simulated events as packed rows: codes instead of names, so that millions of them are made and sorted as columns.

A code of -1 and a NaN mean that the event has no such field. `records` turns rows into the contract's JSON shapes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

KINDS = ("payment", "login", "profile_change", "application")
PAYMENT, LOGIN, PROFILE_CHANGE, APPLICATION = range(4)
METHODS = ("card", "bnpl", "p2p", "transfer")
CARD, BNPL, P2P, TRANSFER = range(4)
CHANNELS = ("ecom", "app", "pos", "atm", "api")
ECOM, APP, POS, ATM, API = range(5)
AUTHORIZATIONS = ("declined", "approved")
DECLINED, APPROVED = range(2)
LOGIN_METHODS = ("password", "passkey", "otp")
PASSWORD, PASSKEY, OTP = range(3)
FIELDS = ("password", "email", "phone", "address", "beneficiary", "device", "limit")
FRAUD_TYPES = (
    "card_not_present",
    "account_takeover",
    "identity",
    "first_party",
    "scam",
    "mule",
    "card_testing",
)
CARD_NOT_PRESENT, ACCOUNT_TAKEOVER, IDENTITY, FIRST_PARTY, SCAM, MULE, CARD_TESTING = range(7)
ATTACK_NAMES = (
    "none",
    "card_testing",
    "account_takeover",
    "slow_ramp",
    "bust_out",
    "mule",
    "stolen_card",
    "synthetic_identity",
    "sale",
)
NONE = 0
SALE = len(ATTACK_NAMES) - 1

ROW = np.dtype(
    [
        ("time_ms", np.int64),
        ("amount_minor", np.int64),
        ("cents", np.float64),  # amount in euro cents before conversion and rounding
        ("device", np.int64),
        ("ip", np.int64),  # as an unsigned 32-bit number
        ("beneficiary", np.int64),  # an account's number, or that many accounts and more: outside the platform
        ("account", np.int32),
        ("merchant", np.int32),
        ("card", np.int32),
        ("email", np.int32),
        ("phone", np.int32),
        ("address", np.int32),
        ("identity", np.int32),  # whose name, date of birth and national number an application states
        ("typist", np.int32),  # whose hands the session summary shows; -1: no summary
        ("attack_number", np.int32),
        ("latitude", np.float32),
        ("longitude", np.float32),
        ("kind", np.int8),
        ("currency", np.int8),
        ("method", np.int8),
        ("country", np.int8),
        ("channel", np.int8),
        ("authorization", np.int8),
        ("success", np.int8),
        ("login_method", np.int8),
        ("field", np.int8),
        ("manner", np.int8),  # how the typist behaves, see `behaviour`
        ("attack", np.int8),
        ("fraud_type", np.int8),  # -1: the event itself is not fraud
    ]
)
"""One simulated event, 128 bytes."""

Rows = NDArray[np.void]
"""Array of `ROW` records."""

_PRESENT = {"kind": 0, "manner": 0, "attack": 0, "amount_minor": 0, "cents": 0.0, "time_ms": 0, "attack_number": 0}
_BLANK = np.zeros((), dtype=ROW)
for _name in ROW.names or ():
    _BLANK[_name] = _PRESENT.get(_name, -1)
_BLANK["latitude"] = _BLANK["longitude"] = np.nan


def blank(length: int) -> Rows:
    """`length` rows without any optional field."""
    return np.full(length, _BLANK, dtype=ROW)


def from_mappings(mappings: Sequence[Mapping[str, float]]) -> Rows:
    """Rows with the fields that each mapping names; the others are absent.

    >>> from_mappings([{"account": 7, "ip": 1}])[["account", "ip", "device"]].tolist()
    [(7, 1, -1)]
    """
    rows = blank(len(mappings))
    for name in sorted({name for mapping in mappings for name in mapping}):
        absent = _BLANK[name].item()
        rows[name] = [mapping.get(name, absent) for mapping in mappings]
    return rows
