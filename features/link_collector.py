"""Collects what applied events say of entities, and closes a flush whenever the partition's clock has moved on.

The clock is the newest event time so far, in whole steps: pairs of account and entity go after a second of it, volumes,
which nobody reads sooner than by day, after an hour. A sender whose clock is ahead may hold the partition's clock for
minutes; so pairs go after a block of offsets too. All of this follows from the log alone, and what is not yet flushed
is part of the partition's state.
"""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.accounts import Applied
from features.columns import DECLINED, FRAUD, LABEL, PAYMENT, Events
from features.compiled import compiled
from features.entities import BENEFICIARY, BIN, DEVICE, EMAIL_DOMAIN, IP, MERCHANT
from features.feature import FeatureSet
from features.kernel import APPLIED
from features.link_waiting import (
    Closed,
    Waiting,
    advance,
    flushes_in,
    link_of,
    nothing_waits,
    room_to_close,
    volume_of,
    wait_again,
)
from features.links import LINK, MARK, SMALL_MINOR, VOLUME, Flushes
from features.windows import DAY_MS

_NONE, _NO_NETWORK = np.uint64(0), np.uint32(0)


class _State(msgspec.Struct, frozen=True):
    """What is not yet flushed, for the state of a partition."""

    clock_ms: int
    offset: int
    number: int
    links: bytes
    volumes: bytes
    marks: bytes


class LinkCollector:
    """The links, volumes and marks of one partition that wait for their flush.

    Args:
        feature_set: of the features that are given.
    """

    def __init__(self, feature_set: FeatureSet) -> None:
        names = [f"account_{name}_is_new" for name in ("device", "ip", "beneficiary")]
        self._novelties = np.array([feature_set.index[name] for name in names])
        self._position, self._waiting = nothing_waits()

    def add(
        self, accounts: NDArray[np.uint64], events: Events, labels: NDArray[np.uint64], applied: Applied
    ) -> Flushes | None:
        """Add a segment of a batch; the flushes that it closes, if there are any.

        Args:
            accounts: uint64[n], hash of each row's account.
            events: `EVENT`[n], amounts in the base currency, offsets rising.
            labels: uint64[n], for a label the hash of the event that it judges, else 0.
            applied: what the accounts said.
        """
        offsets = np.append(self._position["offset"], events["offset"])
        assert (offsets[1:] > offsets[:-1]).all(), "offsets rise: a block of them has room for no more"
        closed = room_to_close(self._position, len(events))
        _collect(
            self._position,
            self._waiting,
            closed,
            accounts,
            events,
            labels,
            applied.status,
            applied.features,
            applied.found,
            self._novelties,
        )
        return flushes_in(closed)

    def tick(self, time_ms: int, offset: int) -> Flushes | None:
        """Move the clock to the time of a marker at `offset`; the flush that this closes, if any."""
        closed = room_to_close(self._position, 1)
        advance(self._position, self._waiting, closed, time_ms, offset)
        return flushes_in(closed)

    def state(self) -> bytes:
        """What waits, for `restore`."""
        clock_ms, offset, number, links, volumes, marks, *_ = self._position[0].tolist()
        waiting = self._waiting
        rows = (waiting.links[:links], waiting.volumes[:volumes], waiting.marks[:marks])
        return msgspec.msgpack.encode(_State(clock_ms, offset, number, *(table.tobytes() for table in rows)))

    def restore(self, state: bytes) -> None:
        """Go on from where another one said `state`."""
        stored = msgspec.msgpack.decode(state, type=_State)
        self._position, self._waiting = nothing_waits()
        self._position["clock_ms"], self._position["offset"] = stored.clock_ms, stored.offset
        self._position["number"] = stored.number
        links, volumes = np.frombuffer(stored.links, LINK), np.frombuffer(stored.volumes, VOLUME)
        wait_again(self._position, self._waiting, links, volumes, np.frombuffer(stored.marks, MARK))


@compiled
def _collect(
    positions: NDArray[Any],
    waiting: Waiting,
    closed: Closed,
    accounts: NDArray[np.uint64],
    events: Events,
    labels: NDArray[np.uint64],
    status: NDArray[np.uint8],
    features: NDArray[np.float32],
    found: Events,
    novelties: NDArray[np.int64],
) -> None:
    """Walk over a segment."""
    position = positions[0]
    for row in range(len(events)):
        event = events[row]
        if status[row] != APPLIED:
            advance(positions, waiting, closed, position["clock_ms"], event["offset"])
            continue
        advance(positions, waiting, closed, event["time_ms"], event["offset"])
        if event["kind"] == LABEL:
            _add_mark(position, waiting, accounts[row], event, labels[row], found[row])
            continue
        # what is new to an account is what its features say; those of a label are those of the event that it judges
        if features[row, novelties[0]] == 1.0:
            _add_link(position, waiting, accounts[row], event, event["device"], _NO_NETWORK, DEVICE)
        if features[row, novelties[1]] == 1.0:
            _add_link(position, waiting, accounts[row], event, event["ip"], event["network"], IP)
        if features[row, novelties[2]] == 1.0:
            _add_link(position, waiting, accounts[row], event, event["beneficiary"], _NO_NETWORK, BENEFICIARY)
        if event["kind"] == PAYMENT:
            day = event["time_ms"] // DAY_MS
            if event["merchant"] != 0:
                _add_payment(position, waiting, MERCHANT, event["merchant"], np.uint64(event["category"]), day)
            if event["bin"] != 0:
                _add_payment(position, waiting, BIN, np.uint64(event["bin"]), _NONE, day)
            if event["email_domain"] != 0:
                _add_payment(position, waiting, EMAIL_DOMAIN, np.uint64(event["email_domain"]), _NONE, day)


@compiled
def _add_link(
    position: Any, waiting: Waiting, account: np.uint64, event: Any, entity: np.uint64, network: np.uint32, kind: int
) -> None:
    link = waiting.links[link_of(position, waiting, account, entity, kind)]
    link["time_ms"] = max(link["time_ms"], event["time_ms"])
    link["network"] = network
    if event["kind"] == PAYMENT:
        link["payments"] += 1
        link["declined"] += event["marks"] & DECLINED != 0
        link["small"] += event["amount_minor"] < SMALL_MINOR
        link["amount_minor"] += event["amount_minor"]


@compiled
def _add_payment(position: Any, waiting: Waiting, kind: int, entity: np.uint64, parent: np.uint64, day: int) -> None:
    waiting.volumes[volume_of(position, waiting, kind, entity, parent, day)]["payments"] += 1


@compiled
def _add_mark(
    position: Any, waiting: Waiting, account: np.uint64, label: Any, event_hash: np.uint64, judged: Any
) -> None:
    mark = waiting.marks[position["marks"]]
    position["marks"] += 1
    mark["account"], mark["event"], mark["label"] = account, event_hash, label["event_hash"]
    mark["known_at_ms"], mark["event_time_ms"] = label["time_ms"], judged["time_ms"]
    mark["device"], mark["ip"], mark["merchant"] = judged["device"], judged["ip"], judged["merchant"]
    mark["beneficiary"], mark["bin"], mark["category"] = judged["beneficiary"], judged["bin"], judged["category"]
    mark["network"], mark["email_domain"] = judged["network"], judged["email_domain"]
    mark["fraud"] = label["marks"] & FRAUD != 0
