"""Engine and watch together, minute by minute in memory: the breaker opens, holds, and lets the model return."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import msgspec
import orjson
import pytest

from features.errors import AssayError
from features.store import MemoryStore
from models.minutes import MINUTE_MS
from models.policy import Policy
from models.summary import Summary
from models.telemetry_log import Tick
from models.watch_limits import BreakerAction, BreakerSettings, WatchLimits
from streams.breaker_marker import marker_of
from streams.log import LogRecord
from streams.marker_messages import marker_messages
from streams.model_in_force import ModelInForce
from streams.partition import Partition
from streams.replay_changes import with_policy
from streams.signature import SIGNATURE_HEADER, sign, signed_by
from streams.telemetry import summary_json
from streams.warm.telemetry_step import ALERTS, MINUTES, WATCH, TelemetryFold
from streams.warm.traffic_watch import WAIT_MS, TrafficWatch
from tests.streams.logs import breaker_marker, model_marker, payment
from tests.streams.small_model import small_model

KEY = b"a key"
START_MS = 1_750_000_020_000 // MINUTE_MS * MINUTE_MS
PER_MINUTE = 210
ABSENT = "f" * 64
_COSTS = msgspec.structs.replace(Policy.default().payment, insult_minor=0, margin=0.0)
DECLINES_ALL = msgspec.structs.replace(Policy.default(), payment=_COSTS)


def open_model(model_id: str) -> ModelInForce:
    """The first model is sound; the second is one that declines everything."""
    if model_id == small_model(1).id:
        return small_model(1)
    if model_id == small_model(2).id:
        return with_policy(small_model(2), DECLINES_ALL)
    raise AssayError(f"model {model_id}: there is none")


def reference(model: str) -> object:
    return next(small_model(seed).artefact.reference for seed in (1, 2) if small_model(seed).id.startswith(model))


class Seen(NamedTuple):
    """One minute: what the verdicts said, and what changed after it."""

    decisions: set[str]
    degraded: set[bool]
    deciders: set[str]
    changed: str | None
    alerts: list[str]


class Platform:
    """One partition of the engine and the watch over it; what it puts into the log is there in the next minute."""

    def __init__(self, action: BreakerAction = "step_up") -> None:
        limits = WatchLimits(breaker=BreakerSettings(action=action))
        self._new_watch: Callable[[], TelemetryFold] = lambda: TelemetryFold(
            TrafficWatch(reference, limits),  # type: ignore[arg-type]
            4 * 3_600_000,
        )
        self.watch = self._new_watch()
        self.engine = Partition(0, MemoryStore(), small_model(1), open_model, sample_one_in=16)
        self.rows: dict[bytes, bytes | None] = dict.fromkeys((WATCH, ALERTS, MINUTES))
        self._pending: list[tuple[bytes, list[tuple[str, bytes | None]]]] = []
        self._offset = 0
        self.minute = 0

    def put(self, value: bytes) -> None:
        self._pending.append((value, [(SIGNATURE_HEADER, sign(KEY, value))]))

    def live(self, *, dies: bool = False) -> Seen:
        """One minute; `dies`: the watch is killed after its markers are written, before it stores anything."""
        at_ms = START_MS + self.minute * MINUTE_MS
        records = []
        for value, headers in self._pending:
            records.append(LogRecord(self._next(), value, None, at_ms, headers))
        self._pending.clear()
        for number in range(PER_MINUTE):
            offset = self._next()
            records.append(LogRecord(offset, payment(offset, f"a{number}", at_ms + number), None, at_ms + number))
        output = self.engine.fold(records, signed_by(KEY))
        assert output.set_aside == []
        for model, end, counts in output.counted:
            summary = Summary(partition=0, number=end, time_ms=at_ms, model=model, counts=counts)
            self._store(self.watch.step(summary_json(summary)).rows)
        tick = msgspec.json.encode(Tick(at_ms + MINUTE_MS + WAIT_MS))
        step = self.watch.step(tick)
        if dies:
            self._act(step.transition)
            self.watch = self._new_watch()
            self.watch.restore(self.rows)
            step = self.watch.step(tick)
        self._act(step.transition)
        self._store(step.rows)
        self.minute += 1
        verdicts = [orjson.loads(verdict.value) for verdict in output.verdicts]
        return Seen(
            {verdict["decision"] for verdict in verdicts},
            {"degraded" in verdict["flags"] for verdict in verdicts},
            {"rules" if "rules_only" in verdict["flags"] else verdict["model"] for verdict in verdicts},
            None if step.transition is None else step.transition.after,
            [f"{alert.alert} {alert.status}" for alert in step.alerts],
        )

    def live_until(self, phase: str, most: int = 40) -> list[Seen]:
        seen = []
        for _ in range(most):
            seen.append(self.live())
            if seen[-1].changed == phase:
                return seen
        raise AssertionError(f"not {phase} after {most} minutes: {seen}")

    def _act(self, transition: object) -> None:
        if transition is not None:
            for message in marker_messages(marker_of(transition), "events", 1, KEY):  # type: ignore[arg-type]
                self._pending.append((message.value or b"", message.headers or []))

    def _store(self, rows: list[tuple[bytes, bytes]]) -> None:
        self.rows.update(rows)

    def _next(self) -> int:
        self._offset += 1
        return self._offset


def test_a_model_that_declines_everything_is_held_off_until_it_is_replaced() -> None:
    platform = Platform()
    sound = [platform.live() for _ in range(3)]
    assert {one.changed for one in sound} == {None}
    platform.put(model_marker(1, small_model(2).id, START_MS))
    broken = platform.live_until("open")
    assert len(broken) == BreakerSettings().minutes_to_trip
    assert all(one.decisions == {"decline"} and one.degraded == {False} for one in broken)
    held = [platform.live() for _ in range(15)]  # longer than a probe takes: it is seen that the model is no better
    assert all(one.decisions == {"step_up"} and one.degraded == {True} for one in held)
    assert {one.changed for one in held} == {None}
    platform.put(model_marker(2, small_model(1).id, START_MS))
    waiting = platform.live_until("probing")
    assert len(waiting) == BreakerSettings().minutes_to_probe
    assert all(one.degraded == {True} for one in waiting)
    probing = platform.live_until("closed")
    assert len(probing) == BreakerSettings().minutes_to_return
    assert all(one.degraded == {False} for one in probing)
    after = [platform.live() for _ in range(11)]
    assert all(one.degraded == {False} and one.changed is None for one in after)
    told = [text for one in [*sound, *broken, *held, *waiting, *probing, *after] for text in one.alerts]
    assert [text for text in told if text.startswith("breaker-open")] == [
        "breaker-open firing",
        "breaker-open resolved",
    ]


@pytest.mark.parametrize(("action", "decider"), [("last_good_model", small_model(1).id[:16]), ("rules_only", "rules")])
def test_another_decides_while_a_model_declines_everything_until_that_is_well(
    action: BreakerAction, decider: str
) -> None:
    platform = Platform(action)
    sound = [platform.live() for _ in range(3)]
    platform.put(model_marker(1, small_model(2).id, START_MS))
    broken = platform.live_until("open")
    assert {frozenset(one.deciders) for one in broken} == {frozenset({small_model(2).id[:16]})}
    held = [platform.live() for _ in range(15)]  # what decides is well, and yet the model is seen to be no better
    assert all(one.deciders == {decider} and one.decisions == {"step_up"} for one in held)
    assert all(one.degraded == {True} and one.changed is None for one in held)
    platform.put(model_marker(2, small_model(1).id, START_MS))
    waiting = platform.live_until("probing")
    assert len(waiting) == BreakerSettings().minutes_to_probe
    assert all(one.degraded == {True} for one in waiting)
    probing = platform.live_until("closed")
    assert all(one.degraded == {False} and one.deciders == {small_model(1).id[:16]} for one in probing)
    after = [platform.live() for _ in range(11)]
    told = [text for one in [*sound, *broken, *held, *waiting, *probing, *after] for text in one.alerts]
    assert [text for text in told if text.startswith("breaker-open")] == [
        "breaker-open firing",
        "breaker-open resolved",
    ]


def test_a_model_that_cannot_be_opened_opens_it_and_the_flag_of_the_breaker_keeps_nothing_open() -> None:
    platform = Platform()
    platform.live()
    platform.put(model_marker(1, ABSENT, START_MS))
    assert len(platform.live_until("open")) == BreakerSettings().minutes_without_model
    assert {one.changed for one in (platform.live() for _ in range(12))} == {None}
    platform.put(model_marker(2, small_model(1).id, START_MS))
    assert len(platform.live_until("probing")) == BreakerSettings().minutes_to_probe
    assert len(platform.live_until("closed")) == BreakerSettings().minutes_to_return
    assert platform.live().degraded == {False}


def test_a_probe_that_fails_opens_it_again_and_the_next_one_waits_twice_as_long() -> None:
    platform = Platform()
    platform.live()
    platform.put(model_marker(1, ABSENT, START_MS))
    platform.live_until("open")
    platform.put(model_marker(2, small_model(1).id, START_MS))
    platform.live_until("probing")
    platform.put(model_marker(3, ABSENT, START_MS))
    assert platform.live().changed == "open"
    platform.put(model_marker(4, small_model(1).id, START_MS))
    assert len(platform.live_until("probing")) == 2 * BreakerSettings().minutes_to_probe


def test_a_watch_that_dies_after_its_markers_writes_the_same_ones_again() -> None:
    platform = Platform()
    platform.live()
    platform.put(model_marker(1, ABSENT, START_MS))
    platform.live()
    assert platform.live(dies=True).changed == "open"
    first, second = (value for value, _ in platform._pending)
    assert first == second
    assert platform.live().degraded == {True}
    assert platform.engine.engine.breaker == "step_up"


def test_with_the_action_none_it_is_told_and_the_model_goes_on() -> None:
    platform = Platform("none")
    platform.live()
    platform.put(model_marker(1, small_model(2).id, START_MS))
    assert platform.live_until("open")[-1].alerts[0] == "breaker-open firing"
    assert platform.live().decisions == {"decline"}
    assert platform.engine.engine.breaker == "closed"


def test_one_that_was_opened_by_hand_is_told_until_it_is_closed_by_hand() -> None:
    platform = Platform()
    platform.live()
    platform.put(breaker_marker(1, "step_up", START_MS))
    told = [text for one in (platform.live() for _ in range(30)) for text in one.alerts]
    assert "breaker-open firing" in told
    assert platform.engine.engine.breaker == "step_up"
    platform.put(breaker_marker(2, "closed", START_MS))
    told = [text for one in (platform.live() for _ in range(13)) for text in one.alerts]
    assert "breaker-open resolved" in told


@pytest.mark.parametrize("partitions", [1, 12])
def test_every_partition_gets_the_same_signed_record(partitions: int) -> None:
    from models.breaker import Transition

    change = Transition(before="closed", after="open", minute_ms=START_MS, action="step_up", reason="why")
    messages = partial(marker_messages, marker_of(change), "fraud.events", partitions)
    assert [message.partition for message in messages(KEY)] == list(range(partitions))
    assert {message.value for message in messages(KEY)} == {
        b'{"type":"marker","event_id":"breaker-%d-open","time_ms":%d,"marker":"breaker","value":"step_up","reason":"why"}'
        % (START_MS, START_MS)
    }
    assert all(signed_by(KEY)(LogRecord(0, one.value, headers=one.headers or ())) for one in messages(KEY))
    assert {message.headers for message in messages(None) if message.headers} == set()
