"""Collects what applied events say of entities, and closes a flush whenever the partition's clock has moved on.

The clock is the newest event time so far, in whole steps: pairs of account and entity go after a second of it, volumes
after a minute, because a minute of payments names hardly more merchants than a second. A sender whose clock is ahead
may hold the partition's clock for minutes; so pairs go after `BLOCK` offsets too. All of this follows from the log
alone, and what is not yet flushed is part of the partition's state.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.accounts import Applied
from features.columns import DECLINED, FRAUD, LABEL, PAYMENT, Events
from features.entities import BENEFICIARY, BIN, DEVICE, IP, MERCHANT
from features.feature import FeatureSet
from features.kernel import APPLIED
from features.link_waiting import Table, Waiting
from features.links import FLUSH, LINK, MARK, SMALL_MINOR, VOLUME, Flushes

LINKS_STEP_MS = 1_000
BLOCK = 4_096
VOLUMES_STEP_MS = 60_000
_DTYPES = {"links": LINK, "volumes": VOLUME, "marks": MARK}
_SUMS = dict.fromkeys(("payments", "declined", "small", "amount_minor"), np.add.reduceat)
_DAY_MS = 86_400_000
_PAIRED = ((DEVICE, "device"), (IP, "ip"), (BENEFICIARY, "beneficiary"))
_COUNTED = ((MERCHANT, "merchant", "category"), (BIN, "bin", None))


class _State(msgspec.Struct, frozen=True):
    """What is not yet flushed, for the state of a partition."""

    clock_ms: int
    block: int
    number: int
    waiting: dict[str, bytes]


class LinkCollector:
    """The links, volumes and marks of one partition that wait for their flush.

    Args:
        feature_set: of the features that are given.
    """

    def __init__(self, feature_set: FeatureSet) -> None:
        self._novelties = [feature_set.index[f"account_{name}_is_new"] for _, name in _PAIRED]
        self._clock_ms = 0
        self._block = 0
        self._number = 0
        self._waiting = {
            "links": Waiting(LINK, ("account", "entity", "kind"), {"time_ms": np.maximum.reduceat, **_SUMS}),
            "volumes": Waiting(VOLUME, ("day", "parent", "entity", "kind"), {"payments": np.add.reduceat}),
            "marks": Waiting(MARK, (), {}),
        }

    def add(
        self, accounts: NDArray[np.uint64], events: Events, labels: NDArray[np.uint64], applied: Applied
    ) -> Flushes | None:
        """Add a segment of a batch; the flushes that it closes, if there are any.

        Args:
            accounts: uint64[n], hash of each row's account.
            events: `EVENT`[n], amounts in the base currency.
            labels: uint64[n], for a label the hash of the event that it judges, else 0.
            applied: what the accounts said.
        """
        if not len(events):
            return None
        taken = applied.status == APPLIED
        clocks_ms = np.maximum.accumulate(np.where(taken, events["time_ms"], self._clock_ms))
        np.maximum(clocks_ms, self._clock_ms, out=clocks_ms)
        found = {
            "links": self._links(accounts, events, applied.features, taken),
            "volumes": _volumes(events, taken),
            "marks": _marks(accounts, events, labels, applied, taken),
        }
        return self._close(clocks_ms, events["offset"], found)

    def tick(self, time_ms: int, offset: int) -> Flushes | None:
        """Move the clock to the time of a marker at `offset`; the flush that this closes, if any."""
        nothing = {name: (np.zeros(0, dtype=np.intp), np.zeros(0, dtype=dtype)) for name, dtype in _DTYPES.items()}
        return self._close(np.array([max(self._clock_ms, time_ms)]), np.array([offset]), nothing)

    def state(self) -> bytes:
        """What waits, for `restore`."""
        waiting = {name: table.merged().tobytes() for name, table in self._waiting.items()}
        return msgspec.msgpack.encode(_State(self._clock_ms, self._block, self._number, waiting))

    def restore(self, state: bytes) -> None:
        """Go on from where another one said `state`."""
        stored = msgspec.msgpack.decode(state, type=_State)
        self._clock_ms, self._block, self._number = stored.clock_ms, stored.block, stored.number
        for name, dtype in _DTYPES.items():
            self._waiting[name].put(np.frombuffer(stored.waiting[name], dtype=dtype).copy())

    def _close(
        self,
        clocks_ms: NDArray[np.int64],
        offsets: NDArray[np.int64],
        found: dict[str, tuple[NDArray[np.intp], Table]],
    ) -> Flushes | None:
        """Add what was found at places of a segment, and move to its end."""
        before_ms = self._clock_ms
        seconds = np.diff(clocks_ms // LINKS_STEP_MS, prepend=before_ms // LINKS_STEP_MS)
        minutes = np.diff(clocks_ms // VOLUMES_STEP_MS, prepend=before_ms // VOLUMES_STEP_MS)
        blocks = np.diff(offsets // BLOCK, prepend=self._block)
        self._clock_ms, self._block = int(clocks_ms[-1]), int(offsets[-1]) // BLOCK
        often, seldom = np.flatnonzero(seconds | blocks), np.flatnonzero(minutes)
        closed = {
            name: self._waiting[name].close(seldom if name == "volumes" else often, *those)
            for name, those in found.items()
        }
        ends = np.unique(np.concatenate([places for places, _ in closed.values()]))
        if not len(ends):
            return None
        flushes = np.zeros(len(ends), dtype=FLUSH)
        flushes["flush"] = self._number + np.arange(len(ends))
        flushes["end"] = offsets[ends]
        flushes["time_ms"] = np.where(ends == 0, before_ms, clocks_ms[ends - 1])
        for places, rows in closed.values():
            rows["flush"] = self._number + np.searchsorted(ends, places)
        self._number += len(ends)
        return Flushes(flushes, *(closed[name][1] for name in _DTYPES))

    def _links(
        self, accounts: NDArray[np.uint64], events: Events, features: NDArray[np.float32], taken: NDArray[np.bool_]
    ) -> tuple[NDArray[np.intp], Table]:
        """Pairs that the account's past did not hold."""
        parts = []
        of_its_own = taken & (events["kind"] != LABEL)  # the features of a label are those of the event that it judges
        for (kind, name), novelty in zip(_PAIRED, self._novelties, strict=True):
            places = np.flatnonzero(of_its_own & (features[:, novelty] == 1.0))
            those = events.take(places)
            is_payment = those["kind"] == PAYMENT
            rows = np.zeros(len(places), dtype=LINK)
            rows["account"] = accounts[places]
            rows["entity"] = those[name]
            rows["time_ms"] = those["time_ms"]
            rows["payments"] = is_payment
            rows["declined"] = is_payment & (those["marks"] & DECLINED != 0)
            rows["small"] = is_payment & (those["amount_minor"] < SMALL_MINOR)
            rows["amount_minor"] = np.where(is_payment, those["amount_minor"], 0)
            rows["kind"] = kind
            parts.append((places, rows))
        places = np.concatenate([places for places, _ in parts])
        order = np.argsort(places, kind="stable")
        return places[order], np.concatenate([rows for _, rows in parts])[order]


def _volumes(events: Events, taken: NDArray[np.bool_]) -> tuple[NDArray[np.intp], Table]:
    """One row for each entity of a payment that is counted."""
    is_payment = taken & (events["kind"] == PAYMENT)
    parts = []
    for kind, name, parent in _COUNTED:
        places = np.flatnonzero(is_payment & (events[name] != 0))
        rows = np.zeros(len(places), dtype=VOLUME)
        rows["entity"] = events[name][places]
        rows["parent"] = 0 if parent is None else events[parent][places]
        rows["payments"] = 1
        rows["day"] = events["time_ms"][places] // _DAY_MS
        rows["kind"] = kind
        parts.append((places, rows))
    places = np.concatenate([places for places, _ in parts])
    order = np.argsort(places, kind="stable")
    return places[order], np.concatenate([rows for _, rows in parts])[order]


def _marks(
    accounts: NDArray[np.uint64],
    events: Events,
    labels: NDArray[np.uint64],
    applied: Applied,
    taken: NDArray[np.bool_],
) -> tuple[NDArray[np.intp], Table]:
    """Labels whose event the account's history holds."""
    places = np.flatnonzero(taken & (events["kind"] == LABEL))
    rows = np.zeros(len(places), dtype=MARK)
    judged = applied.found.take(places)
    rows["account"] = accounts[places]
    rows["event"] = labels[places]
    rows["label"] = events["event_hash"][places]
    rows["known_at_ms"] = events["time_ms"][places]
    rows["event_time_ms"] = judged["time_ms"]
    for name in ("device", "ip", "merchant", "beneficiary", "bin", "category"):
        rows[name] = judged[name]
    rows["fraud"] = events["marks"][places] & FRAUD != 0
    return places, rows
