"""Sending a world: in its order, at the pace asked for, every record counted. No broker is needed."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import orjson
import pytest

from streams.simulator import Scenario, simulate
from streams.simulator.broadcast import Delivery, Message, broadcast, messages


class Recorder:
    """A producer in memory with a clock of its own: waiting is what makes time pass."""

    def __init__(self, queue: int = 1_000_000, refuses: Callable[[str], bool] = lambda _key: False) -> None:
        self.now_s = 0.0
        self.queue, self.refuses = queue, refuses
        self.waiting: list[Callable[[], None]] = []
        self.taken: list[tuple[float, str, str, bytes]] = []

    def produce(self, topic: str, *, key: str, value: bytes, on_delivery: Callable[[Any, Any], None]) -> None:
        if len(self.waiting) >= self.queue:
            raise BufferError
        self.taken.append((self.now_s, topic, key, value))
        error = _Refusal() if self.refuses(key) else None
        self.waiting.append(lambda: on_delivery(error, None))

    def poll(self, timeout: float) -> int:
        self.now_s += timeout
        reports, self.waiting = self.waiting, []
        for report in reports:
            report()
        return len(reports)

    def flush(self, timeout: float) -> int:
        self.poll(0)
        return 0

    def clock(self) -> float:
        return self.now_s


class _Refusal:
    def str(self) -> str:
        return "not today"


def stream(count: int, every_ms: int = 10) -> Iterator[Message]:
    return (Message("events", f"a{number % 3}", b"%d" % number, 1_000 + number * every_ms) for number in range(count))


def test_events_and_labels_go_out_in_the_order_of_the_world() -> None:
    timeline = simulate(Scenario(events=3_000, seed=4, days=20))
    last_ms = int(timeline.labels["known_at_ms"][-1])
    sent = list(messages(timeline, "t.events", "t.labels", now_ms=last_ms))
    assert Counter(message.topic for message in sent) == {"t.events": 3_000, "t.labels": len(timeline.labels)}
    assert [message.at_ms for message in sent] == sorted(message.at_ms for message in sent)
    assert all(orjson.loads(message.value)["account_id"] == message.key for message in sent)
    places = {
        orjson.loads(message.value)["event_id"]: place
        for place, message in reversed(list(enumerate(sent)))
        if message.topic == "t.events"
    }
    for place, message in enumerate(sent):
        if message.topic == "t.labels":
            assert places[orjson.loads(message.value)["judged_event_id"]] < place
    now_ms = int(timeline.events["time_ms"][-1])
    assert max(message.at_ms for message in messages(timeline, "e", "l", now_ms)) <= now_ms


def test_the_rate_is_kept() -> None:
    producer = Recorder()
    delivery = broadcast(stream(1_001), producer, rate=100.0, clock=producer.clock)
    times = np.array([taken[0] for taken in producer.taken])
    assert times[-1] == pytest.approx(10.0)
    assert np.diff(times).max() == pytest.approx(0.01)
    assert (delivery.delivered, delivery.failed, delivery.sent) == (1_001, 0, {"events": 1_001})


def test_simulated_time_passes_at_the_speed_asked_for() -> None:
    producer = Recorder()
    broadcast(stream(101, every_ms=60_000), producer, speed=600.0, clock=producer.clock)
    assert producer.taken[-1][0] == pytest.approx(10.0)
    both = Recorder()
    broadcast(stream(101, every_ms=60_000), both, speed=600.0, rate=5.0, clock=both.clock)
    assert both.taken[-1][0] == pytest.approx(20.0)


def test_a_full_queue_is_waited_for_and_loses_nothing() -> None:
    producer = Recorder(queue=7)
    steps: list[int] = []
    delivery = broadcast(stream(1_000), producer, advance=steps.append, clock=producer.clock)
    assert [taken[3] for taken in producer.taken] == [b"%d" % number for number in range(1_000)]
    assert (delivery.delivered, sum(steps)) == (1_000, 1_000)


def test_a_record_that_is_not_taken_is_counted_with_its_reason() -> None:
    producer = Recorder(refuses=lambda key: key == "a1")
    delivery = broadcast(stream(300), producer, clock=producer.clock)
    assert (delivery.delivered, delivery.failed, delivery.first_error) == (200, 100, "not today")


def test_a_broker_that_never_answers_makes_every_record_a_failure() -> None:
    producer = Recorder()
    producer.flush = lambda timeout: len(producer.waiting)  # type: ignore[method-assign]
    delivery = broadcast(stream(10), producer, clock=producer.clock)
    assert delivery == Delivery(sent={"events": 10}, failed=10, first_error="no answer from the broker within 70 s")
