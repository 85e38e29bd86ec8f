"""One feature of one event, proved: its definition, exactly the events that it counted, and the number made of them.

The number is computed here in plain Python from that list and compared with the one that was served, which came out of
the compiled kernel.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from features import measures as m
from features.conversion import to_base_minor
from features.errors import AssayError, InvalidRecord
from features.event_rows import event_row
from features.events import Marker
from features.feature import DEVIATIONS, DIRECT, OF_ENTITY, RATIO, Feature
from features.folded import Folded
from features.packing import unpack
from features.windows import WINDOW_NAMES, WINDOWS_MS
from streams.account_view import PastEvent, past_events
from streams.explain import Witnessed
from streams.explain_measures import ELSEWHERE, ITSELF, LIFETIME, NEW, SINCE, WINDOWED, Statistic

TOLERANCE = 1e-6
"""Relative: features are served in single precision, and sums of squares differ in their last bits."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One measure that the feature is made of.

    Attributes:
        what: the measure in words.
        window: which window it reads; null if it reads none.
        value: computed here from `events`; null if it is not known (no value), or if it is not computed here.
        events: the events that count, by time.
        note: why `value` is not computed here; empty if it is.
    """

    what: str
    window: str | None
    value: float | None
    events: list[PastEvent]
    note: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A feature and what it was made of.

    Attributes:
        feature: its name.
        definition: what it is.
        unit: of the number.
        formula: how the parts make the feature.
        parts: in the order of the formula.
        served: what the model saw; null if it was not known.
        recomputed: the formula over the parts; null if it is not known, or a part is not computed here.
        agrees: whether both are the same (to one part in a million); null if a part is not computed here.
    """

    feature: str
    definition: str
    unit: str
    formula: str
    parts: list[Part]
    served: float | None
    recomputed: float | None
    agrees: bool | None


def evidence(seen: Witnessed, name: str) -> Evidence:
    """What made feature `name` of a judged event.

    Raises:
        AssayError: there is no such feature, or the record was not judged.
    """
    feature_set = seen.model.feature_set
    if name not in feature_set.index:
        raise AssayError(f"{name!r} is no feature of the set in force; docs/features.md lists them")
    if not seen.output.verdicts or isinstance(seen.event, InvalidRecord | Marker):
        raise AssayError(
            f"offset {seen.record.offset} was not judged, so it has no features; explain it without --feature"
        )
    feature = feature_set.features[feature_set.index[name]]
    if feature.measured.operation == OF_ENTITY:
        raise AssayError(
            f"{name} is what many accounts together showed of a {feature.entity}: no single account's past tells it. "
            "docs/entities.md says how it comes about"
        )
    served = float(seen.output.judged[0].features[0, feature_set.index[name]])
    row, currency, _ = event_row(seen.event, seen.record.offset, seen.record.value or b"")
    row["amount_minor"] = to_base_minor(row["amount_minor"], np.array([currency], dtype=np.uint8), seen.model.rates)
    past = _Past.of(row[0], seen.event.account_id, seen.before)
    measured = feature.measured
    places = {DIRECT: [measured.first], RATIO: [measured.first, measured.second]}.get(
        measured.operation, [measured.first, measured.second, measured.third]
    )
    parts = [_part(past, place) for place in places]
    is_open = any(part.note for part in parts)
    recomputed = math.nan if is_open else _combined(feature, [_number(part.value) for part in parts])
    return Evidence(
        feature=name,
        definition=feature.definition,
        unit=feature.unit,
        formula=_formula(feature),
        parts=parts,
        served=_known(served),
        recomputed=_known(recomputed),
        agrees=None if is_open else _same(served, recomputed),
    )


class _Past(NamedTuple):
    """The event as a row, and its account's history up to the event's own time, by time."""

    event: Any
    rows: list[Any]
    shown: list[PastEvent]
    folded: Folded | None

    @classmethod
    def of(cls, event: Any, account_id: str, packed: bytes | None) -> "_Past":
        if packed is None:
            return cls(event, [], [], None)
        account = unpack(account_id, packed)
        counted = account.events[account.events["time_ms"] <= event["time_ms"]]
        return cls(event, list(counted), past_events(counted), account.folded)

    def reaches_what_was_folded(self, begin_ms: int | None) -> bool:
        """Whether events that are only in tiles may count after `begin_ms`; None is the beginning of all time."""
        if self.folded is None:
            return False
        return begin_ms is None or bool(self.folded.summaries[0]["until_ms"] > begin_ms)


_FOLDED = "part of the past was folded into tiles: the events below are only those still kept one by one"


def _part(past: _Past, place: int) -> Part:
    """The measure at `place` of the vector of measures, from the history."""
    if place < m.N_WINDOWED * m.N_WINDOWS:
        window = WINDOW_NAMES[place % m.N_WINDOWS]
        return _over(past, WINDOWED[place // m.N_WINDOWS], window)
    if place in LIFETIME:
        return _over(past, LIFETIME[place], None)
    if place in SINCE:
        what, counts = SINCE[place]
        return _since(past, what, [row for row in range(len(past.rows)) if counts(past.rows[row])][-1:])
    if place == m.SINCE_FIRST:
        return _since(past, "seconds since the first event", [0] if past.rows else [])
    if place == m.SINCE_NEW_DEVICE:
        return _since(past, "seconds since the latest introduction of a device", _introduction(past))
    if place in NEW:
        return _novelty(past, NEW[place])
    if place in ITSELF:
        what, number = ITSELF[place]
        return Part(what=what, window=None, value=_known(number(past.event)), events=[], note="")
    placed = [row for row, event in enumerate(past.rows) if not math.isnan(event["latitude"] + event["longitude"])]
    is_travel = place in (m.DISTANCE_KM, m.SPEED_KMH)
    events = [past.shown[row] for row in placed[-1:]] if is_travel else []
    return Part(what=ELSEWHERE[place], window=None, value=None, events=events, note="not computed again here")


def _over(past: _Past, statistic: Statistic, window: str | None) -> Part:
    """A statistic over a window (t - W, t], or over everything up to t."""
    begin_ms = None if window is None else int(past.event["time_ms"]) - WINDOWS_MS[window]
    chosen = [
        place
        for place, row in enumerate(past.rows)
        if (begin_ms is None or row["time_ms"] > begin_ms) and statistic.counts(row)
    ]
    is_folded = past.reaches_what_was_folded(begin_ms)
    value = math.nan if is_folded else statistic.number([past.rows[place] for place in chosen])
    return Part(
        what=statistic.what,
        window=window,
        value=_known(value),
        events=[past.shown[place] for place in chosen],
        note=_FOLDED if is_folded else "",
    )


def _since(past: _Past, what: str, chosen: Sequence[int]) -> Part:
    """Seconds from the one event at `chosen` to this one; not known if there is none."""
    value = (int(past.event["time_ms"]) - int(past.rows[chosen[0]]["time_ms"])) / 1_000 if chosen else math.nan
    note = _FOLDED if past.reaches_what_was_folded(None) else ""
    return Part(
        what=what,
        window=None,
        value=None if note else _known(value),
        events=[past.shown[place] for place in chosen],
        note=note,
    )


def _introduction(past: _Past) -> list[int]:
    """The event that brought a device not seen before, the latest such."""
    seen: set[int] = set()
    brought = []
    for place, row in enumerate(past.rows):
        device = int(row["device"])
        if device and device not in seen:
            seen.add(device)
            brought.append(place)
    return brought[-1:]


def _novelty(past: _Past, entity: str) -> Part:
    """1 if nothing in the past holds the event's entity; the events that do are listed."""
    own = int(past.event[entity])
    holding = [past.shown[place] for place, row in enumerate(past.rows) if own and int(row[entity]) == own]
    note = _FOLDED if own and not holding and past.reaches_what_was_folded(None) else ""
    value = math.nan if own == 0 or note else float(not holding)
    return Part(
        what=f"whether {entity} is new to the account", window=None, value=_known(value), events=holding, note=note
    )


def _combined(feature: Feature, numbers: Sequence[float]) -> float:
    measured = feature.measured
    if measured.operation == RATIO:
        return measured.scale * numbers[0] / numbers[1] if numbers[1] else math.nan
    if measured.operation == DEVIATIONS:
        return (numbers[0] - numbers[1]) / numbers[2] if numbers[2] else math.nan
    return numbers[0]


def _formula(feature: Feature) -> str:
    measured = feature.measured
    if measured.operation == RATIO:
        return "first / second" if measured.scale == 1.0 else f"{measured.scale:g} * first / second"
    return "(first - second) / third" if measured.operation == DEVIATIONS else "first"


def _same(served: float, recomputed: float) -> bool:
    if math.isnan(served) or math.isnan(recomputed):
        return math.isnan(served) and math.isnan(recomputed)
    return math.isclose(served, float(np.float32(recomputed)), rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
