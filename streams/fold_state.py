"""Where the fold of a partition stands, as it is stored beside the accounts."""

from typing import Final

import msgspec

from features.errors import AssayError
from features.store import StateStore
from streams.standing import Standing

FOLD: Final = "fold"
"""Name of the stored value."""
SCHEMA: Final = 4


class FoldState(msgspec.Struct, frozen=True):
    """What is stored beside the accounts: where the fold stands.

    Attributes:
        schema: version of this record.
        next_offset: offset from which the log goes on.
        model: id of the model in force there.
        first_model: id of the model with which this state was started.
        feature_set: hash of the feature set that the accounts were kept for.
        degraded: see `Engine.degraded`.
        standing: see `Engine.standing`.
        stand_in: id of `Engine.stand_in`; null: none stands in.
        entities_offset: see `Engine.entities_offset`.
    """

    schema: int
    next_offset: int
    model: str
    first_model: str
    feature_set: str
    degraded: bool
    standing: Standing
    stand_in: str | None
    entities_offset: int


class _Versioned(msgspec.Struct):
    schema: int


def stored_state(store: StateStore, partition: int) -> FoldState | None:
    """Where the fold of a store stands; None if nothing was ever stored.

    Raises:
        AssayError: another version wrote it.
    """
    stored = store.get_value(FOLD)
    if stored is None:
        return None
    try:
        schema = msgspec.json.decode(stored, type=_Versioned).schema
        if schema == SCHEMA:
            return msgspec.json.decode(stored, type=FoldState)
    except (msgspec.DecodeError, UnicodeDecodeError):
        schema = None
    raise AssayError(
        f"state of partition {partition}: expected schema {SCHEMA}, got {schema or 'none'}; "
        "use the version that wrote it, or rebuild the state from the log in a fresh directory"
    )
