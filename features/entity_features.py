"""Features that come from profiles of entities: their declarations, and the kernel that fills them.

They stand behind the features of the account in each row. An event that has no such entity does not know them (`NaN`),
nor does any event before the log says that profiles are there. A window that ended before the event holds nothing.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.columns import LABEL, Events
from features.compiled import compiled
from features.entities import BENEFICIARY, BIN, DEVICE, EMAIL_DOMAIN, ENTITY_KINDS, IP, MERCHANT, NETWORK
from features.entity_profile import NOTHING_KNOWN, VALUES
from features.entity_table import Versions, find_version
from features.feature import OF_ENTITY, Feature, FeatureSet, Measured
from features.windows import HOUR_MS, WINDOW_TEXTS, WINDOWS_MS

KIND_COLUMNS: Final = (
    (DEVICE, "device"),
    (IP, "ip"),
    (MERCHANT, "merchant"),
    (BENEFICIARY, "beneficiary"),
    (BIN, "bin"),
    (EMAIL_DOMAIN, "email_domain"),
    (NETWORK, "network"),
)
"""Kinds that events name, with the column of `EVENT` that holds its number."""

_TEXTS: Final = {
    DEVICE: "device",
    IP: "IP address",
    MERCHANT: "merchant",
    BENEFICIARY: "beneficiary",
    BIN: "BIN",
    EMAIL_DOMAIN: "e-mail domain",
    NETWORK: "network",
}
_ENDS_MS: Final = {**WINDOWS_MS, "48h": 48 * HOUR_MS}
_NEVER_ENDS_MS: Final = np.iinfo(np.int64).max
_INFINITY: Final = float("inf")
_UNKNOWN: Final = "the event has no {0}, or the log does not say yet which profiles are visible"


def entity_features() -> Iterator[Feature]:
    """Every feature of an entity, in the order of the columns."""
    for kind in (DEVICE, IP, BENEFICIARY):
        for window in ("1h", "1d", "7d", "90d"):
            name, text = (
                f"accounts_distinct_{window}",
                f"accounts that began to use the {{0}} in {WINDOW_TEXTS[window]}",
            )
            yield _count(kind, name, f"accounts_{window}", f"{text}; 0 while it has fewer than two", "ENT01", window)
        yield _count(kind, "fraud_accounts", "fraud_accounts", "accounts of the {0} that are known for fraud", "ENT02")
    yield _count(
        DEVICE,
        "component_accounts",
        "component_accounts",
        "accounts that are tied to the {0} by devices, addresses or beneficiaries; 0 of one that many accounts use",
        "ENT03",
    )
    yield _count(
        DEVICE,
        "component_accounts_joined_1d",
        "component_joined_1d",
        "of the accounts that are tied to the {0}, those that joined in a day",
        "ENT03",
        "1d",
    )
    yield _count(
        DEVICE,
        "two_hop_fraud_accounts",
        "two_hop_fraud_accounts",
        "accounts known for fraud that share another entity with an account of the {0}",
        "ENT02",
    )
    yield _share(
        BENEFICIARY,
        "pass_through_48h",
        "what the {0} paid on, divided by what it was paid in 48 hours",
        "ratio",
        "it was paid nothing there, or is no account",
        "ENT04",
        "48h",
    )
    yield _share(
        BENEFICIARY,
        "dwell_seconds_48h",
        "how long what the {0} paid on had been there, on average by amount, in 48 hours",
        "s",
        "it paid nothing on",
        "ENT04",
        "48h",
    )
    for kind in (DEVICE, BENEFICIARY, MERCHANT, BIN, NETWORK, EMAIL_DOMAIN):
        for window in ("7d", "30d", "90d") if kind == MERCHANT else ("30d",):
            text = f"smoothed share of fraud in payments of the {{0}} of {WINDOW_TEXTS[window]}"
            if kind in (DEVICE, BENEFICIARY, NETWORK):
                text += "; of an account only the first ones count, and those that are fraud"
            yield _share(kind, f"fraud_rate_{window}", text, "ratio", "too little is known of it", "ENT05", window)
    for kind in (MERCHANT, BIN, EMAIL_DOMAIN):
        text = "payments of the {0} in 30 days that are old enough to have been complained about"
        yield _count(kind, "payment_count_30d", "payments_30d", text, "ENT06", "30d")


def _count(kind: int, name: str, value: str, text: str, code: str, window: str | None = None) -> Feature:
    return _feature(kind, name, value, text, "events", _INFINITY, "", code, window)


def _share(kind: int, name: str, text: str, unit: str, nan: str, code: str, window: str | None = None) -> Feature:
    high = 1.0 if code == "ENT05" else _INFINITY
    return _feature(kind, name, name, text, unit, high, f", or {nan}", code, window)


def _feature(
    kind: int, name: str, value: str, text: str, unit: str, high: float, nan: str, code: str, window: str | None
) -> Feature:
    return Feature(
        name=f"{ENTITY_KINDS[kind]}_{name}",
        entity=ENTITY_KINDS[kind],
        definition=text.format(_TEXTS[kind]),
        unit=unit,
        low=0,
        high=high,
        nan=_UNKNOWN.format(_TEXTS[kind]) + nan,
        reason_code=code,
        measured=Measured(OF_ENTITY, kind, VALUES.index(value)),
        window=window,
    )


class EntityPlan(NamedTuple):
    """What the kernel has to do, one row for each feature of an entity, by kind."""

    columns: NDArray[np.int64]
    """int64[k], of the features."""
    kinds: NDArray[np.uint8]
    """uint8[k]"""
    values: NDArray[np.int64]
    """int64[k], places in `VALUES`."""
    ends_ms: NDArray[np.int64]
    """int64[k], so long after a profile was made its number is over."""
    missing: NDArray[np.float32]
    """float32[k], the number where nothing is known of an entity."""


def entity_plan(feature_set: FeatureSet) -> EntityPlan:
    """The plan of the entity features of a set; empty if it has none."""
    found = [(column, f.measured) for column, f in enumerate(feature_set.features) if f.measured.operation == OF_ENTITY]
    found.sort(key=lambda one: (one[1].first, one[0]))
    names = [VALUES[measured.second] for _, measured in found]
    return EntityPlan(
        columns=np.array([column for column, _ in found], dtype=np.int64),
        kinds=np.array([measured.first for _, measured in found], dtype=np.uint8),
        values=np.array([measured.second for _, measured in found], dtype=np.int64),
        ends_ms=np.array([_end_ms(name) for name in names], dtype=np.int64),
        missing=NOTHING_KNOWN[[measured.second for _, measured in found]],
    )


def _end_ms(value: str) -> int:
    """Rates go by whole days and are told anew every day; what says no window has no end."""
    window = value.rpartition("_")[2]
    return (
        _ENDS_MS[window] if window in _ENDS_MS and "rate" not in value and "payments" not in value else _NEVER_ENDS_MS
    )


def fill_entities(
    plan: EntityPlan, versions: Versions, events: Events, visible: NDArray[np.int64], features: NDArray[np.float32]
) -> None:
    """Fill the entity features of each event; labels, which are measured as of another moment, are left alone.

    Args:
        plan: of the feature set.
        versions: profiles.
        events: `EVENT`[n].
        visible: int64[n], the offset of the entities topic that is visible at each event; negative: none is.
        features: float32[n, f], updated.
    """
    if len(plan.columns):
        ids = np.zeros((len(ENTITY_KINDS), len(events)), dtype=np.uint64)
        for kind, column in KIND_COLUMNS:
            ids[kind] = events[column]
        _fill(plan, versions, ids, events["time_ms"], events["kind"], visible, features)


@compiled
def _fill(
    plan: EntityPlan,
    versions: Versions,
    ids: NDArray[np.uint64],
    time_ms: NDArray[np.int64],
    event_kind: NDArray[np.uint8],
    visible: NDArray[np.int64],
    features: NDArray[np.float32],
) -> None:
    for row in range(len(time_ms)):
        if event_kind[row] == LABEL or visible[row] < 0:
            continue
        kind = found = np.int64(-1)
        for place in range(len(plan.columns)):
            if plan.kinds[place] != kind:
                kind = np.int64(plan.kinds[place])
                entity = ids[kind, row]
                found = np.int64(find_version(versions, plan.kinds[place], entity, visible[row]))
            if ids[kind, row] == 0:
                continue
            value = plan.missing[place]
            if found >= 0:
                is_over = time_ms[row] - versions.rows[found]["as_of_ms"] >= plan.ends_ms[place]
                value = plan.missing[place] if is_over else versions.rows[found]["values"][plan.values[place]]
            features[row, plan.columns[place]] = value
