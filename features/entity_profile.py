"""What is told of an entity: one profile, as a row of numbers and as a record of the entities topic.

A profile says what many accounts together show of a device, an address, a merchant, a beneficiary or a BIN. It comes
from the graph (`features/graph.py`) and from labels (`features/entity_risk.py`); `docs/entities.md` explains the
numbers.
"""

import math
from typing import Annotated, Any, Final, Literal, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.entities import ENTITY_KINDS

VALUES: Final = (
    "accounts_1h",
    "accounts_1d",
    "accounts_7d",
    "accounts_90d",
    "fraud_accounts",
    "component_accounts",
    "component_joined_1d",
    "two_hop_fraud_accounts",
    "pass_through_48h",
    "dwell_seconds_48h",
    "payments_30d",
    "fraud_rate_7d",
    "fraud_rate_30d",
    "fraud_rate_90d",
)
"""Names of a profile's numbers, in order."""

GRAPH_VALUES: Final = VALUES[:10]
"""Those that come from the graph; the others come from labels."""

COUNTS: Final = (*VALUES[:8], "payments_30d")
"""Of `VALUES`, those that are counts: 0 where nothing is known. The others are NaN there."""

PROFILE = np.dtype(
    [
        ("kind", np.uint8),  # index into `features.entities.ENTITY_KINDS`
        ("entity", np.uint64),  # hash of its identifier
        ("as_of_ms", np.int64),  # no event after it is counted
        ("values", np.float32, (len(VALUES),)),  # in the order of `VALUES`
    ]
)
"""One profile."""

NOTHING_KNOWN: Final[NDArray[np.float32]] = np.array([0.0 if name in COUNTS else np.nan for name in VALUES], np.float32)
"""float32[values] of an entity of which nothing is known."""


class ProfileRecord(msgspec.Struct, frozen=True):
    """What many accounts together show of an entity. A record without a value: there is nothing to tell any more.

    Attributes:
        kind: of the entity.
        entity: hash of its identifier, 16 hex digits.
        as_of_ms: no event after it is counted.
        values: numbers by name; counts that are 0 and shares that are not known are left out.
        source: partition of the events log, and the number of its flush, that made the profile.
        schema: version of this shape.
    """

    kind: Literal["device", "ip", "merchant", "beneficiary", "bin", "email"]
    entity: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    as_of_ms: int
    values: dict[str, float]
    source: tuple[int, int]
    schema: Literal[1] = 1


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ProfileRecord).decode


def no_profiles(length: int) -> NDArray[Any]:
    """`PROFILE`[length] that say nothing: counts 0, rates NaN."""
    profiles = np.zeros(length, dtype=PROFILE)
    profiles["values"] = NOTHING_KNOWN
    return profiles


def says_something(profiles: NDArray[Any]) -> NDArray[np.bool_]:
    """bool[n], whether a profile has any number; also of records with more fields than `PROFILE`."""
    values = profiles["values"]
    found: NDArray[np.bool_] = ((values != 0) & ~np.isnan(values)).any(axis=1)
    return found


def profile_key(profile: Any) -> bytes:
    """Key of a profile's record: the name of its entity.

    >>> row = no_profiles(1)
    >>> row["entity"] = 0x1F
    >>> profile_key(row[0])
    b'device:000000000000001f'
    """
    return f"{ENTITY_KINDS[profile['kind']]}:{int(profile['entity']):016x}".encode()


def profile_named(key: bytes) -> NDArray[Any]:
    """`PROFILE`[1] that says nothing of the entity with this key.

    Raises:
        ValueError: it is no key of a profile.

    >>> profile_key(profile_named(b"bin:000000000006b14d")[0])
    b'bin:000000000006b14d'
    """
    kind, _, entity = key.decode().partition(":")
    if kind not in ENTITY_KINDS:
        raise ValueError(f"expected a kind of entities and a hash as key, got {kind!r}")
    profile = no_profiles(1)
    profile["kind"], profile["entity"] = ENTITY_KINDS.index(kind), int(entity, 16)
    return profile


def profile_json(profile: Any, source: tuple[int, int]) -> bytes:
    """A profile as a record; numbers that say nothing are left out.

    Args:
        profile: one row of `PROFILE`.
        source: partition and number of the flush that made it.

    >>> row = no_profiles(1)
    >>> row["entity"] = 31
    >>> row["values"][0, VALUES.index("accounts_1h")] = 4
    >>> row["values"][0, VALUES.index("fraud_rate_30d")] = 0.5
    >>> profile_json(row[0], (3, 17))  # doctest: +ELLIPSIS
    b'{"kind":"device","entity":"000000000000001f","as_of_ms":0,"values":{"accounts_1h":4.0,"fraud_rate_30d":0.5},...
    >>> profile_of(profile_json(row[0], (3, 17))).tobytes() == row.tobytes()
    True
    """
    told = dict(zip(VALUES, profile["values"].tolist(), strict=True))
    record = ProfileRecord(
        kind=cast(Any, ENTITY_KINDS[profile["kind"]]),
        entity=f"{int(profile['entity']):016x}",
        as_of_ms=int(profile["as_of_ms"]),
        values={name: value for name, value in told.items() if value and not math.isnan(value)},
        source=source,
    )
    return _encode(record)


def source_of(value: bytes) -> tuple[int, int]:
    """Partition and number of the flush that made the profile of a record.

    Raises:
        msgspec.DecodeError: it is no such record.
    """
    partition, flush = _decode(value).source
    return partition, flush


def profile_of(value: bytes) -> NDArray[Any]:
    """`PROFILE`[1] that a record says.

    Raises:
        msgspec.DecodeError: it is no such record.
        ValueError: a number has a name that this version does not know.
    """
    record = _decode(value)
    unknown = set(record.values).difference(VALUES)
    if unknown:
        raise ValueError(f"expected known numbers, got {sorted(unknown)}")
    profile = no_profiles(1)
    profile["kind"] = ENTITY_KINDS.index(record.kind)
    profile["entity"] = int(record.entity, 16)
    profile["as_of_ms"] = record.as_of_ms
    for name, number in record.values.items():
        profile["values"][0, VALUES.index(name)] = number
    return profile
