"""What the entity graph is told: links between accounts and entities, and which accounts were in fraud.

A link says that an account used an entity, with what happened between the two since the last flush. A flush is the
unit of delivery: all its rows come in one batch, and a batch that comes twice counts once.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.entities import ENTITY_KINDS

LATEST_MS = 2**50
"""Times are from 0 to below this, the year 37,648: so that their ten minutes can be counted in 32 bits."""

LARGEST_SUM = 2**62 - 1
"""Where sums of money stop: two of them fit into 64 bits, so that no addition overflows."""

LINK = np.dtype(
    [
        ("account", np.uint64),  # hash of the account's id
        ("kind", np.uint8),  # index into ENTITY_KINDS
        ("entity", np.uint64),  # hash of the entity's id; of a beneficiary as of an account, so that one can be both
        ("time_ms", np.int64),  # newest event of this pair in the flush
        ("payments", np.int32),  # payments of this pair in the flush
        ("declined", np.int32),  # of these, declined by the issuer
        ("small", np.int32),  # of these, below a small amount that the sender chooses
        ("amount_minor", np.int64),  # sum of those not declined, base currency
        ("source", np.int16),  # whose flush it is, from 0: one number for each partition of events and shard of links
        ("flush", np.int64),  # number of the flush in its source, counted by one from 0
    ]
)
"""One pair of account and entity in one flush of one source; a pair has one row in a flush."""

LABEL = np.dtype([("account", np.uint64), ("fraud", np.bool_), ("known_at_ms", np.int64)])
"""From `known_at_ms` on, an account counts as in fraud or, after a reversal, as not in fraud."""

ENTITY = np.dtype([("kind", np.uint8), ("entity", np.uint64)])
"""The name of an entity."""


def check_links(links: NDArray[Any]) -> None:
    """Assert that rows are `LINK` and within their ranges: the engine wrote them, so a fault is our own.

    >>> check_links(np.zeros(1, LINK))
    """
    assert links.dtype == LINK, f"expected rows of LINK, got {links.dtype}"
    if not len(links):
        return
    assert links["kind"].max() < len(ENTITY_KINDS), "a link's kind is an index into ENTITY_KINDS"
    assert links["time_ms"].min() >= 0, "a link's time is not negative"
    assert links["time_ms"].max() < LATEST_MS, "a link's time is in milliseconds"
    for column in ("payments", "declined", "small", "amount_minor", "source", "flush"):
        assert links[column].min() >= 0, f"{column} of a link is not negative"
    assert links["amount_minor"].max() <= LARGEST_SUM, "a sum of money is below 2^62"


def check_labels(labels: NDArray[Any]) -> None:
    """Assert that rows are `LABEL` with times of the epoch."""
    assert labels.dtype == LABEL, f"expected rows of LABEL, got {labels.dtype}"
    assert not len(labels) or labels["known_at_ms"].min() >= 0, "known_at_ms of a label is not negative"
