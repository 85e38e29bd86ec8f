"""What is told of an entity: one profile, as a row of numbers and as a record of the entities topic.

A profile says what many accounts together show of a device, an address or its network, a merchant, a beneficiary, a BIN
or an e-mail domain. It comes from the graph (`features/graph.py`) and from labels (`features/entity_risk.py`);
`docs/entities.md` explains the numbers.
"""

import struct
from collections.abc import Sequence
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
_NOTHING_KNOWN: Final = dict(zip(VALUES, NOTHING_KNOWN.tolist(), strict=True))
_PACKED: Final = struct.Struct(f"=BQq{len(VALUES)}f")
"""The bytes of `PROFILE`: a worker reads thousands of records a second, and numpy fills single rows slowly."""


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

    kind: Literal["device", "ip", "merchant", "beneficiary", "bin", "email_domain", "network"]
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


def profile_named(key: bytes) -> NDArray[Any]:
    """`PROFILE`[1] that says nothing of the entity with this key.

    Raises:
        ValueError: it is no key of a profile.

    >>> profile_named(b"bin:000000000006b14d")["entity"].tolist()
    [438605]
    """
    kind, _, entity = key.decode().partition(":")
    if kind not in ENTITY_KINDS:
        raise ValueError(f"expected a kind of entities and a hash as key, got {kind!r}")
    profile = no_profiles(1)
    profile["kind"], profile["entity"] = ENTITY_KINDS.index(kind), int(entity, 16)
    return profile


def profile_records(profiles: NDArray[Any], partition: int, flushes: Sequence[int]) -> list[tuple[bytes, bytes | None]]:
    """Profiles as records, key and value of each; one that says nothing has no value, and takes the entity away.

    Args:
        profiles: `PROFILE`[n]; numbers that say nothing are left out.
        partition: where the flushes are that made them.
        flushes: number of the flush that made each.

    >>> row = no_profiles(1)
    >>> row["entity"] = 31
    >>> row["values"][0, VALUES.index("accounts_1h")] = 4
    >>> row["values"][0, VALUES.index("fraud_rate_30d")] = 0.5
    >>> ((key, value),) = profile_records(row, 3, [17])
    >>> key
    b'device:000000000000001f'
    >>> value  # doctest: +ELLIPSIS
    b'{"kind":"device","entity":"000000000000001f","as_of_ms":0,"values":{"accounts_1h":4.0,"fraud_rate_30d":0.5},...
    >>> profile_of(value).tobytes() == row.tobytes()
    True
    """
    records: list[tuple[bytes, bytes | None]] = []
    columns = (profiles[name].tolist() for name in PROFILE.names or ())
    for number, kind, entity, as_of_ms, values in zip(flushes, *columns, strict=True):
        name, hash16 = ENTITY_KINDS[kind], f"{entity:016x}"
        # NaN is the one number that differs from itself
        said = {of: value for of, value in zip(VALUES, values, strict=True) if value and value == value}
        record = ProfileRecord(cast(Any, name), hash16, as_of_ms, said, (partition, number))
        records.append((f"{name}:{hash16}".encode(), _encode(record) if said else None))
    return records


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
        ValueError: a number has a name that this version does not know, or is out of range.
    """
    record = _decode(value)
    values = _NOTHING_KNOWN.copy()
    values.update(record.values)
    if len(values) != len(VALUES):
        raise ValueError(f"expected known numbers, got {sorted(set(record.values).difference(VALUES))}")
    kind, entity = ENTITY_KINDS.index(record.kind), int(record.entity, 16)
    try:
        packed = _PACKED.pack(kind, entity, record.as_of_ms, *values.values())
    except (struct.error, OverflowError) as error:
        raise ValueError(f"expected numbers within their ranges: {error}") from None
    return np.frombuffer(packed, dtype=PROFILE)
