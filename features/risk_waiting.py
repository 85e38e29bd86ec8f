"""What flushes say for the fraud rates, kept until these are asked for: rates go by days, and rows by the thousand are
taken in as fast as one.
"""

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.entities import BENEFICIARY, BIN, DEVICE, EMAIL_DOMAIN, ENTITY_KINDS, IP, MERCHANT, NETWORK
from features.links import LINK, MARK, VOLUME
from features.risk_rows import KINDS, OUTCOME
from features.risk_rows import VOLUME as RISK_VOLUME
from features.windows import DAY_MS

_RISK_KIND: Final = np.array([KINDS.index(kind) if kind in KINDS else 255 for kind in ENTITY_KINDS], dtype=np.uint8)
"""Of a single address no rate is kept: what it shows belongs to its network."""
_MARKED: Final = (
    (DEVICE, "device"),
    (NETWORK, "network"),
    (MERCHANT, "merchant"),
    (BENEFICIARY, "beneficiary"),
    (BIN, "bin"),
    (EMAIL_DOMAIN, "email_domain"),
)


class RiskWaiting:
    """Links, volumes and marks that wait, with the partitions that they came from."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, bytes, bytes]] = []
        self._marks: list[bytes] = []

    def add(self, partition: int, links: NDArray[Any], volumes: NDArray[Any], marks: NDArray[Any]) -> None:
        """Keep what one flush says; rows as in `features.links`."""
        if len(links) or len(volumes):
            self._parts.append((partition, links.tobytes(), volumes.tobytes()))
        if len(marks):
            self._marks.append(marks.tobytes())

    def take(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """`OUTCOME`[n] and `VOLUME`[m] of what waited (`features.risk_rows`); nothing waits any more."""
        partitions = np.array([partition for partition, _, _ in self._parts], dtype=np.int16)
        links, of_links = _together([links for _, links, _ in self._parts], LINK)
        volumes, of_volumes = _together([volumes for _, _, volumes in self._parts], VOLUME)
        marks = np.frombuffer(b"".join(self._marks), dtype=MARK)
        self._parts, self._marks = [], []
        paired, counted = _paired(partitions[of_links], links), _counted(partitions[of_volumes], volumes)
        return _outcomes(marks), np.frombuffer(paired.tobytes() + counted.tobytes(), dtype=RISK_VOLUME)

    def state(self) -> bytes:
        """What waits, for `restore`."""
        return msgspec.msgpack.encode((self._parts, self._marks))

    def restore(self, state: bytes) -> None:
        """Let wait what `state` said."""
        self._parts, self._marks = msgspec.msgpack.decode(
            state, type=tuple[list[tuple[int, bytes, bytes]], list[bytes]]
        )


def _together(parts: list[bytes], dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The rows of all parts, and the number of the part of each."""
    lengths = np.array([len(part) for part in parts], dtype=np.intp) // dtype.itemsize
    return np.frombuffer(b"".join(parts), dtype=dtype), np.repeat(np.arange(len(parts)), lengths)


def _counted(sources: NDArray[np.int16], volumes: NDArray[Any]) -> NDArray[Any]:
    rows = np.zeros(len(volumes), dtype=RISK_VOLUME)
    for name in ("entity", "parent", "flush", "day", "payments"):
        rows[name] = volumes[name]
    rows["source"], rows["kind"] = sources, _RISK_KIND[volumes["kind"]]
    return rows


def _paired(sources: NDArray[np.int16], links: NDArray[Any]) -> NDArray[Any]:
    """Payments of pairs of account and entity, summed over accounts: a flush names an entity and a day once.

    An address stands for its network; what is none, such as a pseudonym, counts nowhere.
    """
    is_address = links["kind"] == IP
    is_counted = (links["payments"] > 0) & (~is_address | (links["network"] != 0))
    links, sources, is_address = links[is_counted], sources[is_counted], is_address[is_counted]
    kinds = np.where(is_address, np.uint8(NETWORK), links["kind"])
    entities = np.where(is_address, links["network"], links["entity"])
    keys = (sources, links["flush"], kinds, entities, links["time_ms"] // DAY_MS)
    order = np.lexsort(keys[::-1])
    is_first = np.zeros(len(order), dtype=np.bool_)
    is_first[:1] = True
    for key in keys:
        is_first[1:] |= key[order[1:]] != key[order[:-1]]
    first = np.flatnonzero(is_first)
    rows = np.zeros(len(first), dtype=RISK_VOLUME)
    for name, key in zip(("source", "flush", "kind", "entity", "day"), keys, strict=True):
        rows[name] = key[order[first]]
    rows["kind"] = _RISK_KIND[rows["kind"]]
    if len(rows):
        rows["payments"] = np.add.reduceat(links["payments"][order], first)
    return rows


def _outcomes(marks: NDArray[Any]) -> NDArray[Any]:
    parts = []
    for kind, column in _MARKED:
        named = marks[marks[column] != 0]
        rows = np.zeros(len(named), dtype=OUTCOME)
        rows["entity"] = named[column]
        rows["kind"] = _RISK_KIND[kind]
        rows["parent"] = named["category"] if kind == MERCHANT else 0
        for name in ("event", "event_time_ms", "known_at_ms", "label", "fraud"):
            rows[name] = named[name]
        parts.append(rows)
    return np.concatenate(parts)
