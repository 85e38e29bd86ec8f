"""What crosses accounts, as a fold: flushes of every partition in, profiles of entities out.

It hosts the graph and the fraud rates, and tells a profile when it has changed materially. No clock, disk or network:
its time is the newest time of a flush, so the same flushes in the same order give the same profiles, live in the warm
path and inside of `assay score`. A flush that comes again is passed over.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.entities import ENTITY_KINDS
from features.entity_measures import is_material, measure_graph
from features.entity_profile import NOTHING_KNOWN, PROFILE, VALUES
from features.entity_risk import EntityRisk
from features.entity_table import EntityTable
from features.errors import AssayError
from features.graph import Graph
from features.graph_links import ENTITY
from features.graph_links import LINK as GRAPH_LINK
from features.known_frauds import KnownFrauds
from features.links import Flushes
from features.risk_rows import KINDS as RISK_KINDS
from features.risk_settings import RiskSettings
from features.risk_waiting import RiskWaiting
from features.windows import DAY_MS, HOUR_MS

_SCHEMA: Final = 2
_ENOUGH_PAYMENTS: Final = 20
"""Rates of an entity with fewer and without a fraud are lent by its like: else every device would have a profile."""
_KIND_OF_RISK: Final = np.array([ENTITY_KINDS.index(kind) for kind in RISK_KINDS], dtype=np.uint8)
_PLACE: Final = {name: place for place, name in enumerate(VALUES)}
_NO_PROFILES: Final = np.zeros(0, dtype=PROFILE)
_NO_ENTITIES: Final = np.zeros(0, dtype=ENTITY)
_FROM_RISK: Final = {
    "payments_30d": "payments_30d",
    "fraud_rate_7d": "rate_7d",
    "fraud_rate_30d": "rate_30d",
    "fraud_rate_90d": "rate_90d",
}


class MissingFlushError(AssayError):
    """Flushes of a partition do not follow those that were taken."""


class Told(NamedTuple):
    """Profiles that some flushes made worth telling.

    Attributes:
        profiles: `PROFILE`[n], in order.
        turns: int64[n], which of the flushes made each, rising.
    """

    profiles: NDArray[Any]
    turns: NDArray[np.int64]


class _State(msgspec.Struct, frozen=True):
    schema: int
    clock_ms: int
    told: int
    taken: dict[int, int]
    graph: bytes
    risk: bytes
    frauds: bytes
    waiting: bytes
    profiles: bytes


class EntityFold:
    """The graph, the fraud rates, and what was told last of each entity.

    Attributes:
        table: profiles as they were told; the offset of each is its number, counted from 1.
        told: how many were told.

    Args:
        settings: of the fraud rates.
    """

    def __init__(self, settings: RiskSettings | None = None) -> None:
        self._graph = Graph()
        self._risk = EntityRisk(settings)
        self._frauds = KnownFrauds()
        self._waiting = RiskWaiting()
        self._taken: dict[int, int] = {}
        self._clock_ms = 0
        self.table = EntityTable()
        self.told = 0

    def step(self, partition: int, flushes: Flushes) -> Told:
        """Take in flushes of a partition, in their order; those that were taken before say nothing.

        Raises:
            MissingFlushError: some are missing before them. Nothing was taken.
        """
        rows = flushes.flushes
        expected = self._taken.get(partition)
        if len(rows) and expected is not None and rows["flush"][0] > expected:
            raise MissingFlushError(
                f"links of partition {partition}: expected flush {expected}, got {rows['flush'][0]}: what lies between "
                "is lost; build the entity state anew from the links topic"
            )
        self.table.let_go(self.told)  # whoever asks from here on sees at least what was told up to here
        ends = [np.searchsorted(table["flush"], rows["flush"], side="right") for table in flushes[1:]]
        found: list[NDArray[Any]] = []
        turns: list[int] = []
        starts: tuple[int, ...] = (0, 0, 0)
        for turn, flush in enumerate(rows):
            stops = tuple(int(end[turn]) for end in ends)
            if expected is None or flush["flush"] >= expected:
                parts = [table[start:stop] for table, start, stop in zip(flushes[1:], starts, stops, strict=True)]
                profiles = self._take(partition, int(flush["time_ms"]), *parts)
                if len(profiles):
                    found.append(profiles)
                    turns += [turn] * len(profiles)
            starts = stops
        if len(rows):
            self._taken[partition] = max(expected or 0, int(rows["flush"][-1]) + 1)
        together = np.concatenate(found) if found else np.zeros(0, dtype=PROFILE)
        return Told(together, np.array(turns, dtype=np.int64))

    def has_taken(self, partition: int, flush: int) -> bool:
        """Whether a flush of a partition was taken."""
        return flush < self._taken.get(partition, 0)

    @property
    def clock_ms(self) -> int:
        """The newest time of a flush."""
        return self._clock_ms

    def state(self) -> bytes:
        """Everything, for `restore`."""
        return msgspec.msgpack.encode(
            _State(
                schema=_SCHEMA,
                clock_ms=self._clock_ms,
                told=self.told,
                taken=self._taken,
                graph=self._graph.to_bytes(),
                risk=self._risk.state(),
                frauds=self._frauds.state(),
                waiting=self._waiting.state(),
                profiles=self.table.newest().tobytes(),
            )
        )

    def restore(self, data: bytes) -> None:
        """Go on from where another one said `state`.

        Raises:
            AssayError: it is another format or damaged, or of other settings.
        """
        try:
            state = msgspec.msgpack.decode(data, type=_State)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise AssayError(f"state of entities: {error}; build it anew from the links topic") from error
        if state.schema != _SCHEMA:
            raise AssayError(
                f"state of entities: expected schema {_SCHEMA}, got {state.schema}; build it anew from the links topic"
            )
        self._graph = Graph.from_bytes(state.graph)
        self._risk.restore(state.risk)
        self._frauds = KnownFrauds.restored(state.frauds)
        self._waiting.restore(state.waiting)
        self._clock_ms, self.told, self._taken = state.clock_ms, state.told, state.taken
        profiles = np.frombuffer(state.profiles, dtype=PROFILE)
        self.table = EntityTable()
        self.table.put(profiles, np.full(len(profiles), state.told))

    def _take(
        self, partition: int, time_ms: int, links: NDArray[Any], volumes: NDArray[Any], marks: NDArray[Any]
    ) -> NDArray[Any]:
        """One flush; `PROFILE`[n] to tell."""
        before_ms, self._clock_ms = self._clock_ms, max(self._clock_ms, time_ms)
        self._tidy_up(before_ms)
        changed = _NO_ENTITIES
        if len(links) or len(marks):
            changed = self._graph.apply(_graph_links(partition, links), self._frauds.labels(marks))
        self._waiting.add(partition, links, volumes, marks)
        if before_ms // HOUR_MS == self._clock_ms // HOUR_MS:
            return self._tell_graph(changed) if len(changed) else _NO_PROFILES
        self._risk.receive(*self._waiting.take())
        rated, gone = self._risk.changes(self._clock_ms)
        return self._tell(changed, rated, gone)

    def _tidy_up(self, before_ms: int) -> None:
        """Let go of what no window reaches any more, when an hour or a day begins."""
        if before_ms // DAY_MS != self._clock_ms // DAY_MS:
            self._graph.rebuild(self._clock_ms)
            self._frauds.forget(self._clock_ms)
        elif before_ms // HOUR_MS != self._clock_ms // HOUR_MS:
            self._graph.release_tiles(self._clock_ms)

    def _tell(self, changed: NDArray[Any], rated: NDArray[Any], gone: NDArray[Any]) -> NDArray[Any]:
        """Profiles of entities whose graph or rates have changed, as far as that is material; they count as told."""
        kinds = [changed["kind"], _KIND_OF_RISK[rated["kind"]], _KIND_OF_RISK[gone["kind"]]]
        touched, (of_graph, of_rated, of_gone) = _without_repetition(
            kinds, [rows["entity"] for rows in (changed, rated, gone)]
        )
        were_told = self._measure(touched, of_graph)
        is_lent = (rated["payments_30d"] < _ENOUGH_PAYMENTS) & (rated["frauds_30d"] == 0)
        for name, column in _FROM_RISK.items():
            touched["values"][of_rated, _PLACE[name]] = rated[column]
            touched["values"][of_rated[is_lent], _PLACE[name]] = NOTHING_KNOWN[_PLACE[name]]
            touched["values"][of_gone, _PLACE[name]] = NOTHING_KNOWN[_PLACE[name]]
        return self._told_of(were_told, touched)

    def _tell_graph(self, changed: NDArray[Any]) -> NDArray[Any]:
        """As `_tell`, where no rates have changed: the graph names its entities once and in order."""
        touched = np.empty(len(changed), dtype=PROFILE)
        touched["kind"], touched["entity"] = changed["kind"], changed["entity"]
        return self._told_of(self._measure(touched, np.arange(len(changed))), touched)

    def _measure(self, touched: NDArray[Any], of_graph: NDArray[np.intp]) -> NDArray[Any]:
        """Give profiles what is known of them by now, rates as they were told; what was told is returned."""
        self.table.newest_of(touched)
        were_told = touched.copy()
        touched["as_of_ms"] = self._clock_ms
        measure_graph(self._graph.arrays, touched, of_graph, self._clock_ms)
        return were_told

    def _told_of(self, were_told: NDArray[Any], touched: NDArray[Any]) -> NDArray[Any]:
        told = touched.compress(is_material(were_told, touched))
        self.table.put(told, np.arange(self.told, self.told + len(told)) + 1)
        self.told += len(told)
        return told


def _without_repetition(
    kinds: Sequence[NDArray[np.uint8]], entities: Sequence[NDArray[np.uint64]]
) -> tuple[NDArray[Any], list[NDArray[np.intp]]]:
    """`PROFILE`[n] of the entities that are named, each once, by kind and entity; and where those of each list are."""
    kind, entity = np.concatenate(kinds), np.concatenate(entities)
    order = np.lexsort((entity, kind))
    is_first = np.ones(len(order), dtype=np.bool_)
    is_first[1:] = (entity[order[1:]] != entity[order[:-1]]) | (kind[order[1:]] != kind[order[:-1]])
    first = order[is_first]
    profiles = np.zeros(len(first), dtype=PROFILE)
    profiles["kind"], profiles["entity"] = kind[first], entity[first]
    places = np.empty(len(order), dtype=np.intp)
    places[order] = np.cumsum(is_first) - 1
    return profiles, np.split(places, np.cumsum([len(part) for part in kinds[:-1]]))


def _graph_links(partition: int, links: NDArray[Any]) -> NDArray[Any]:
    rows = np.empty(len(links), dtype=GRAPH_LINK)
    for name in GRAPH_LINK.names or ():
        rows[name] = partition if name == "source" else links[name]
    return rows
