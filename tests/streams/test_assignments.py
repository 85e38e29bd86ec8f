"""A worker whose client has lost an assignment leaves; one that is in the middle of a rebalance does not."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException

from features.errors import AssayError
from streams.admin import connect
from streams.assignments import EVERY_S, JOINING_S, PATIENCE_S, Assignments, given_by
from streams.broker import RunningBroker
from streams.kafka_clients import FirstError
from streams.kafka_log import KafkaLog
from streams.watchdog import Watchdog

STABLE, MOVING = ConsumerGroupState.STABLE, ConsumerGroupState.PREPARING_REBALANCING


def group(given: dict[str, list[tuple[str, int]]], state: ConsumerGroupState = STABLE) -> Any:
    return SimpleNamespace(
        state=state,
        members=[
            SimpleNamespace(
                member_id=member,
                assignment=SimpleNamespace(
                    topic_partitions=[SimpleNamespace(topic=topic, partition=number) for topic, number in places]
                ),
            )
            for member, places in given.items()
        ],
    )


class Asked:
    """A client whose group answers when it is told to; a clock that stands still in between."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.futures: list[Future[Any]] = []
        self.assignments = Assignments(self, "engine", "events", (0, 1, 3), lambda: self.now_s)  # type: ignore[arg-type]

    def describe_consumer_groups(self, groups: list[str]) -> dict[str, Future[Any]]:
        assert groups == ["engine"]
        self.futures.append(Future())
        return {"engine": self.futures[-1]}

    def check(self, owned: set[int]) -> None:
        self.assignments.check(lambda: "me", owned)

    def round(self, owned: set[int], answer: Any) -> None:
        """Time passes, the group is asked and answers."""
        self.now_s += EVERY_S
        self.check(owned)
        self.futures[-1].set_result(answer)
        self.check(owned)


ROUNDS = int(PATIENCE_S / EVERY_S)
LOST = group({"me": [("events", 0), ("events", 3)], "you": [("events", 1)]})


def test_what_stays_lost_ends_the_worker() -> None:
    asked = Asked()
    for _ in range(ROUNDS):
        asked.round({3}, LOST)
    with pytest.raises(AssayError, match=r"partitions \[0, 3\] of events, but the Kafka client handed out \[3\]"):
        asked.round({3}, LOST)


@pytest.mark.parametrize(
    ("other", "places", "turn"), [("you", [1], 0), ("all", [1], 1), ("all", [], 1), ("all", [1, 7], 0)]
)
def test_members_leave_one_after_another_while_a_partition_is_nobodys(other: str, places: list[int], turn: int) -> None:
    """First who has the fewest, then by the id: each leaving lets the group deal anew for the others."""
    asked = Asked()
    nobodys = group({"me": [("events", 3)], other: [("events", number) for number in places]})
    for number in range(ROUNDS * (1 + 2 * turn)):
        asked.round({3}, group({}, MOVING) if number == 1 else nobodys)
    with pytest.raises(AssayError, match=r"it has given partitions \[0.*\] of events to nobody"):
        asked.round({3}, nobodys)


def test_a_partition_that_is_somebody_s_again_ends_the_count() -> None:
    asked = Asked()
    nobodys = group({"me": [("events", 3)], "you": [("events", 1)]})
    for _ in range(3):
        for _ in range(ROUNDS):
            asked.round({3}, nobodys)
        asked.round({3}, group({"me": [("events", 3)], "you": [("events", 0), ("events", 1)]}))


@pytest.mark.parametrize(
    "answer",
    [
        group({"me": [("events", 3), ("labels", 0)], "you": [("events", 0), ("events", 1)]}),
        group({"me": [("events", 0), ("events", 3)]}, MOVING),
        group({"you": [("events", 0), ("events", 3)]}),
        group({}),
    ],
    ids=["agreed", "moving", "not a member", "empty"],
)
def test_one_answer_without_a_difference_begins_anew(answer: Any) -> None:
    asked = Asked()
    for _ in range(3):
        for _ in range(ROUNDS):
            asked.round({3}, LOST)
        asked.round({3}, answer)


@pytest.mark.parametrize("answer", [group({"you": [("events", 0)]}), group({}, MOVING)], ids=["outside", "moving"])
def test_who_is_not_let_in_joins_anew_and_who_has_partitions_waits(answer: Any) -> None:
    joining, working = Asked(), Asked()
    for _ in range(int(JOINING_S / EVERY_S)):
        joining.round(set(), answer)
        working.round({3}, answer)
    working.round({3}, answer)
    with pytest.raises(AssayError, match="has not made this worker a member"):
        joining.round(set(), answer)


def test_a_member_without_partitions_waits_for_ever() -> None:
    """There may be more workers than partitions."""
    asked = Asked()
    for _ in range(3 * ROUNDS):
        asked.round(set(), group({"me": [], "you": [("events", 0), ("events", 1), ("events", 3)]}))


def test_it_never_waits_and_asks_one_question_at_a_time() -> None:
    asked = Asked()
    asked.check(set())
    assert not asked.futures
    for _ in range(100):
        asked.now_s += EVERY_S
        asked.check(set())
    assert len(asked.futures) == 1


def test_no_answer_is_no_difference() -> None:
    asked = Asked()
    for _ in range(3 * ROUNDS):
        asked.now_s += EVERY_S
        asked.check({3})
        asked.futures[-1].set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
        asked.check({3})


def test_what_a_group_has_given() -> None:
    assert given_by(LOST, "events") == {"me": {0, 3}, "you": {1}}
    assert given_by(LOST, "labels") == {"me": set(), "you": set()}
    assert given_by(group({}, MOVING), "events") is None


class _Silent(KafkaLog):
    """As if the client had never called back."""

    def _on_assign(self, *_: Any) -> None:
        pass


class _Reader:
    """A member that reads from the beginning."""

    def __init__(self, log: KafkaLog) -> None:
        self._log = log

    def take_over(self, partitions: Sequence[int]) -> dict[int, int]:
        return {number: self._log.bounds(number).low for number in partitions}

    def hand_over(self, partitions: Sequence[int]) -> None:
        pass

    def lose(self, partitions: Sequence[int]) -> None:
        pass


@pytest.fixture
def joined(
    broker: RunningBroker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[type[KafkaLog]], KafkaLog]]:
    """Joins a group of its own, and asks it all the time."""
    monkeypatch.setattr("streams.assignments.EVERY_S", 0.1)
    monkeypatch.setattr("streams.assignments.PATIENCE_S", 0.5)
    events, name = f"{topic}events", f"{topic}engine"
    settings = {
        **broker.client_settings,
        "group.id": name,
        "group.instance.id": f"{name}-0",
        "session.timeout.ms": 45_000,
        "partition.assignment.strategy": "cooperative-sticky",
    }
    client, _ = connect(broker.client_settings)
    watchdog = Watchdog(60.0)
    logs: list[KafkaLog] = []

    def join(kind: type[KafkaLog]) -> KafkaLog:
        logs.append(kind(settings, events, FirstError(), watchdog, Assignments(client, name, events, (0, 1))))
        logs[-1].join(_Reader(logs[-1]))
        return logs[-1]

    yield join
    for log in logs:
        log.leave()
    watchdog.stop()


def test_a_real_group_agrees_with_its_member(joined: Callable[[type[KafkaLog]], KafkaLog]) -> None:
    log = joined(KafkaLog)
    for _ in range(40):
        log.poll(1, 0.1)
    assert log._owned == {0, 1}


def test_a_real_group_does_not_agree_with_a_member_that_was_never_told(
    joined: Callable[[type[KafkaLog]], KafkaLog],
) -> None:
    log = joined(_Silent)
    with pytest.raises(AssayError, match="but the Kafka client handed out"):
        for _ in range(600):
            log.poll(1, 0.1)


def test_a_static_member_that_leaves_is_forgotten_at_once(
    joined: Callable[[type[KafkaLog]], KafkaLog], broker: RunningBroker, topic: str
) -> None:
    """Else the group would give it the same again when it comes back, and deal nothing anew."""
    client, name = connect(broker.client_settings)[0], f"{topic}engine"
    with pytest.raises(AssayError, match="but the Kafka client handed out"):
        for log in [joined(_Silent)] * 600:
            log.poll(1, 0.1)
    assert client.describe_consumer_groups([name])[name].result().members == []
