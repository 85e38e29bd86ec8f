"""Fraud rates of merchants, devices, networks and the like, from labels that come late: a fold without a clock.

What was received is a set: the order of rows and how often they come change nothing, to the bit. Time is given, and
only moves forward. `docs/risk.md` says what the numbers mean, decision record 0018 why.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from features.risk_days import SLOT, TILE, DayCounts, Days, add, find
from features.risk_flushes import RUN, Flushes
from features.risk_rates import RATES, group_rates, is_material, measure
from features.risk_rows import ENTITY, KINDS, OUTCOME, PROFILE, VOLUME, RiskProfile, profile_of, rows_in_order
from features.risk_settings import RiskSettings
from features.risk_state import open_state, seal_state
from features.risk_versions import NOTHING_NEW, VERSION, NewestLabels, Versions, learn
from features.windows import DAY_MS

_PUBLISHED = (*RATES, "payments_30d", "frauds_30d", "as_of_ms")
_CLOCK = np.dtype([("now_ms", np.int64)])
_SECTIONS = (_CLOCK, SLOT, TILE, SLOT, TILE, VERSION, OUTCOME, RUN)


class RiskChanges(NamedTuple):
    """What has to be published, by kind and entity."""

    profiles: NDArray[np.void]
    """`PROFILE` records that are new or have changed materially."""
    gone: NDArray[np.void]
    """`ENTITY` records of published entities of which no payment counts any more."""


class EntityRisk:
    """Counts of entities, the newest label of each event, and what was published last.

    An outcome counts from its `known_at_ms` on, and while its event's day is kept. A label that comes later than that
    changes nothing: its payment is in no window any more.

    >>> risk = EntityRisk(RiskSettings(delay_days=(7, 0, 0, 7, 7, 0)))
    >>> volumes = np.zeros(1, dtype=VOLUME)
    >>> volumes["entity"], volumes["payments"], volumes["day"] = 11, 100, 20_000
    >>> risk.receive(np.zeros(0, dtype=OUTCOME), volumes)
    >>> [len(rows) for rows in risk.changes(20_007 * DAY_MS)]  # six whole days lie between: too young to count
    [0, 0]
    >>> risk.changes(20_008 * DAY_MS).profiles["payments_30d"].tolist()
    [100]
    """

    def __init__(self, settings: RiskSettings | None = None) -> None:
        self.settings = settings or RiskSettings()
        self._now_ms = 0
        self._entities = DayCounts()
        self._groups = DayCounts()
        self._labels = NewestLabels()
        self._waiting = np.zeros(0, dtype=OUTCOME)
        self._flushes = Flushes()

    def __len__(self) -> int:
        """Entities that are held."""
        return len(self._entities)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        tables = self._entities.nbytes + self._groups.nbytes + self._labels.nbytes
        return tables + self._waiting.nbytes + self._flushes.runs.nbytes

    def receive(self, outcomes: NDArray[np.void], volumes: NDArray[np.void]) -> None:
        """Take in `OUTCOME` and `VOLUME` rows; all rows of a flush come in one call.

        Raises:
            AssertionError: rows of another type, or without a name.
        """
        assert outcomes.dtype == OUTCOME
        assert volumes.dtype == VOLUME
        for rows in (outcomes, volumes):
            assert (rows["kind"] < len(KINDS)).all(), "there is no such kind"
            assert rows["entity"].all(), "an entity without a name makes no row"
        assert outcomes["event"].all()
        is_due = outcomes["known_at_ms"] <= self._now_ms
        self._learn(outcomes.compress(is_due))
        if not is_due.all():
            self._wait(np.concatenate([self._waiting, outcomes.compress(~is_due)]))
        new = self._flushes.new_rows(volumes)
        self._flushes.drop(self._first_day)
        self._make_room(len(new))
        _count_volumes(volumes, new, self._first_day, self._entities.days, self._groups.days)

    def changes(self, now_ms: int) -> RiskChanges:
        """Let it be `now_ms` and say what has changed; it counts as published.

        Entities are compared whose counts changed, and all of them when a day begins. A time before an earlier one
        counts as that earlier one.
        """
        now_ms = max(now_ms, self._now_ms)
        is_new_day = now_ms // DAY_MS > self._now_ms // DAY_MS
        self._now_ms = now_ms
        is_due = self._waiting["known_at_ms"] <= now_ms
        due, self._waiting = self._waiting[is_due], self._waiting[~is_due]
        if is_new_day:
            for kept in (self._entities, self._groups, self._labels, self._flushes):
                kept.drop(self._first_day)
            self._wait(self._waiting)
        self._learn(due)
        held = self._entities.slots
        return self._publish(np.arange(len(held)) if is_new_day else np.flatnonzero(held["is_touched"]))

    def profile(self, kind: int, entity: int) -> RiskProfile | None:
        """The profile as of the time of `changes`, published or not; None if no payment of the entity counts."""
        slot = find(self._entities.days, np.uint8(kind), np.uint64(entity))
        if slot < 0:
            return None
        profiles, is_known = self._measure(np.array([slot]))
        return profile_of(profiles[0]) if is_known[0] else None

    def state(self) -> bytes:
        """Everything, as bytes: the same bytes for the same rows received, and `restore` goes on from them exactly."""
        clock = np.array([(self._now_ms,)], dtype=_CLOCK)
        sections: Sequence[NDArray[np.void]] = (
            clock,
            *self._entities.put_in_order(),
            *self._groups.put_in_order(),
            self._labels.in_order(),
            self._waiting,
            self._flushes.runs,
        )
        return seal_state(self.settings.digest, sections)

    def restore(self, data: bytes) -> None:
        """Become what `state` described.

        Raises:
            AssayError: a state of other settings or of another format, or a damaged one.
        """
        clock, slots, tiles, group_slots, group_tiles, versions, waiting, runs = open_state(
            self.settings.digest, data, _SECTIONS
        )
        self._now_ms = int(clock["now_ms"][0])
        self._entities.restore(slots, tiles)
        self._groups.restore(group_slots, group_tiles)
        self._labels.restore(versions)
        self._waiting, self._flushes.runs = waiting, runs

    @property
    def _first_day(self) -> int:
        return self.settings.first_kept_day(self._now_ms)

    def _wait(self, outcomes: NDArray[np.void]) -> None:
        """Keep outcomes that are not known yet: each once, in one order, without those that will never count."""
        outcomes = outcomes[outcomes["event_time_ms"] // DAY_MS >= self._first_day]
        names = ("known_at_ms", "event", "kind", "label", "entity", "parent", "event_time_ms", "fraud")
        outcomes = outcomes[rows_in_order(outcomes, *names)]
        differs = np.ones(len(outcomes), dtype=np.bool_)
        differs[1:] = outcomes[1:] != outcomes[:-1]
        self._waiting = outcomes[differs]

    def _learn(self, outcomes: NDArray[np.void]) -> None:
        self._make_room(len(outcomes))
        self._labels.make_room(len(outcomes))
        _count_outcomes(outcomes, self._first_day, self._labels.versions, self._entities.days, self._groups.days)

    def _make_room(self, rows: int) -> None:
        self._entities.make_room(rows)
        self._groups.make_room(2 * rows)

    def _measure(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.void], NDArray[np.bool_]]:
        """`PROFILE` records of entities, and which of them are known."""
        settings, last_days = self.settings, self.settings.last_days(self._now_ms)
        groups = self._groups.days
        rates = np.empty((len(self._groups), 3))
        group_rates(groups, last_days, settings.root_rate, settings.prior_payments, rates)
        profiles, is_known = np.zeros(len(slots), dtype=PROFILE), np.empty(len(slots), dtype=np.bool_)
        measure(
            self._entities.days,
            slots,
            groups,
            rates,
            last_days,
            self._now_ms,
            settings.prior_payments,
            profiles,
            is_known,
        )
        return profiles, is_known

    def _publish(self, slots: NDArray[np.int64]) -> RiskChanges:
        held = self._entities.slots
        held["is_touched"][slots] = False
        profiles, is_known = self._measure(slots)
        was_published = held["is_published"][slots]
        is_new = is_known & (~was_published | is_material(held.take(slots), profiles, self.settings))
        for name in _PUBLISHED:
            held[name][slots[is_new]] = profiles[name][is_new]
        is_gone = was_published & ~is_known
        held["is_published"][slots] = is_known & (was_published | is_new)
        changed = profiles[is_new]
        gone = np.zeros(int(is_gone.sum()), dtype=ENTITY)
        gone["kind"], gone["entity"] = profiles["kind"][is_gone], profiles["entity"][is_gone]
        return RiskChanges(*(rows[rows_in_order(rows, "kind", "entity")] for rows in (changed, gone)))


@compiled
def _count_outcomes(
    outcomes: NDArray[np.void], first_day: int, versions: Versions, entities: Days, groups: Days
) -> None:
    """Count what labels say, unless it is old or known."""
    for row in range(len(outcomes)):
        day = outcomes[row]["event_time_ms"] // DAY_MS
        if day < first_day:
            continue
        frauds = learn(versions, outcomes, row)
        if frauds == NOTHING_NEW:
            continue
        kind, entity, parent = outcomes[row]["kind"], outcomes[row]["entity"], outcomes[row]["parent"]
        add(entities, kind, entity, parent, day, 0, frauds)
        if parent != 0:
            add(groups, kind, parent, np.uint64(0), day, 0, frauds)
        add(groups, kind, np.uint64(0), np.uint64(0), day, 0, frauds)


@compiled
def _count_volumes(
    volumes: NDArray[np.void], rows: NDArray[np.int64], first_day: int, entities: Days, groups: Days
) -> None:
    """Count the payments of these rows, unless they are old."""
    for row in rows:
        day, payments = volumes[row]["day"], volumes[row]["payments"]
        if day < first_day:
            continue
        kind, entity, parent = volumes[row]["kind"], volumes[row]["entity"], volumes[row]["parent"]
        add(entities, kind, entity, parent, day, payments, 0)
        if parent != 0:
            add(groups, kind, parent, np.uint64(0), day, payments, 0)
        add(groups, kind, np.uint64(0), np.uint64(0), day, payments, 0)
