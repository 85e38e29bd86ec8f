"""What a worker relies on: each promise is a sentence; a real broker keeps all of them, and the one in memory too.

Where the two differ the one in memory is wrong, and with it everything that `tests/test_world.py` proves.
"""

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from features.errors import AssayError
from streams.broker import RunningBroker
from streams.history import Bounds
from streams.log import LogRecord
from streams.publisher import AbortedError, Message
from tests.streams.log_sides import KafkaSide, MemorySide, Reader, Side, until
from tests.streams.sleeper import Sleeper, SleeperInMemory, SleeperOnKafka

_numbers = count(1)
BOTH = {0, 1}
Story = list[tuple[str, str, tuple[int, ...]]]


def in_memory(_request: pytest.FixtureRequest) -> Side:
    return MemorySide()


def on_kafka(request: pytest.FixtureRequest) -> Side:
    broker: RunningBroker = request.getfixturevalue("broker")
    return KafkaSide(broker.bootstrap_servers, f"contract-{next(_numbers)}.").create()


@pytest.fixture(
    params=[pytest.param(in_memory, id="memory"), pytest.param(on_kafka, id="kafka", marks=pytest.mark.broker)]
)
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    make: Callable[[pytest.FixtureRequest], Side] = request.param
    made = make(request)
    yield made
    made.close()


def alone(side: Side, **starts: int) -> Reader:
    """The only member; both partitions are its own."""
    reader = Reader(side, side.log(), starts={int(name[1:]): start for name, start in starts.items()})
    until(side, lambda: reader.owned == BOTH, reader)
    return reader


def values(records: list[LogRecord]) -> list[bytes | None]:
    return [record.value for record in records]


# Reading


def test_records_come_in_the_order_of_their_offsets(side: Side) -> None:
    side.write(*(side.event(b"%d" % number) for number in range(50)))
    reader = alone(side)
    until(side, lambda: len(reader.records[0]) == 50, reader)
    assert reader.values() == [b"%d" % number for number in range(50)]
    assert [record.offset for record in reader.records[0]] == list(range(50))


def test_key_value_headers_and_timestamp_come_back_as_they_were(side: Side) -> None:
    headers: list[tuple[str, bytes | None]] = [("a", b"1"), ("a", b"2"), ("nothing", None), ("empty", b"")]
    side.write(Message(side.events, 1, b"key", b"value", headers), timestamp_ms=1_700_000_000_123)
    reader = alone(side)
    until(side, lambda: bool(reader.records[1]), reader)
    (record,) = reader.records[1]
    assert (record.offset, record.key, record.value) == (0, b"key", b"value")
    assert record.timestamp_ms == 1_700_000_000_123
    assert list(record.headers) == headers


def test_no_key_no_value_no_headers_and_an_empty_value_are_told_apart(side: Side) -> None:
    side.write(side.event(None, key=None), side.event(b"", key=b""))
    reader = alone(side)
    until(side, lambda: len(reader.records[0]) == 2, reader)
    assert [(record.key, record.value, list(record.headers)) for record in reader.records[0]] == [
        (None, None, []),
        (b"", b"", []),
    ]


def test_a_poll_gives_no_more_than_its_limit(side: Side) -> None:
    side.write(*(side.event(b"x") for _ in range(20)))
    reader = Reader(side, side.log())
    sizes: list[int] = []
    is_worth_it = side.patience()
    while sum(sizes) < 20 and is_worth_it():
        sizes.append(len(reader.poll(limit=3)))
    assert sum(sizes) == 20
    assert max(sizes) == 3


def test_every_partition_is_read(side: Side) -> None:
    side.write(*(side.event(b"%d" % number, number % 2) for number in range(10)))
    reader = alone(side)
    until(side, lambda: sum(map(len, reader.records.values())) == 10, reader)
    assert reader.values(0) == [b"0", b"2", b"4", b"6", b"8"]
    assert reader.values(1) == [b"1", b"3", b"5", b"7", b"9"]


def test_an_empty_log_gives_nothing_and_knows_no_commit(side: Side) -> None:
    reader = alone(side)
    assert reader.poll() == []
    assert reader.log.bounds(0) == Bounds(0, 0)
    assert reader.log.committed(0) is None


def test_reading_begins_where_the_member_says(side: Side) -> None:
    side.write(*(side.event(b"%d" % number) for number in range(5)))
    reader = alone(side, p0=3)
    until(side, lambda: len(reader.records[0]) == 2, reader)
    assert reader.values() == [b"3", b"4"]


def test_a_seek_reads_again(side: Side) -> None:
    side.write(*(side.event(b"%d" % number) for number in range(5)))
    reader = alone(side)
    until(side, lambda: len(reader.records[0]) == 5, reader)
    reader.log.seek(0, 2)
    until(side, lambda: len(reader.records[0]) == 8, reader)
    assert reader.values()[5:] == [b"2", b"3", b"4"]


def test_a_seek_passes_over(side: Side) -> None:
    side.write(*(side.event(b"%d" % number) for number in range(5)))
    reader = alone(side)
    until(side, lambda: bool(reader.records[0]), reader)
    reader.log.seek(0, 5)
    side.write(side.event(b"new"))
    until(side, lambda: reader.values()[-1:] == [b"new"], reader)
    assert reader.poll() == []


def test_a_seek_right_after_taking_over_holds(side: Side) -> None:
    """A batch may have to be folded again before another partition of this member has given a record."""
    side.write(*(side.event(b"%d" % number) for number in range(5)))
    reader = alone(side)
    for number in BOTH:
        reader.log.seek(number, 0)
    start = len(reader.records[0])
    until(side, lambda: len(reader.records[0]) == start + 5, reader)
    assert reader.values()[start:] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_partition_that_is_paused_when_it_is_taken_gives_nothing_and_the_other_goes_on(side: Side) -> None:
    side.write(*(side.event(b"%d" % number, number % 2) for number in range(10)))
    reader = Reader(side, side.log(), pauses=[0])
    until(side, lambda: len(reader.records[1]) == 5, reader)
    side.write(side.event(b"new", 0), side.event(b"new", 1))
    until(side, lambda: reader.values(1)[-1] == b"new", reader)
    for _ in range(5):
        reader.poll()
    assert reader.values(0) == []


@pytest.mark.parametrize("offset", [0, 2, 5])
def test_a_seek_ends_a_pause_and_every_record_from_there_on_comes_once(side: Side, offset: int) -> None:
    side.write(*(side.event(b"%d" % number) for number in range(5)), side.event(b"other", 1))
    reader = Reader(side, side.log(), starts={0: 1}, pauses=[0])
    until(side, lambda: bool(reader.records[1]), reader)
    reader.log.seek(0, offset)
    side.write(side.event(b"5"))
    until(side, lambda: reader.values()[-1:] == [b"5"], reader)
    assert [record.offset for record in reader.records[0]] == list(range(offset, 6))


def test_a_seek_right_after_a_pause_holds(side: Side) -> None:
    side.write(*(side.event(b"%d" % number, partition) for number in range(5) for partition in BOTH))
    reader = Reader(side, side.log(), pauses=BOTH)
    until(side, lambda: reader.owned == BOTH, reader)
    for number in BOTH:
        reader.log.seek(number, 3)
    until(side, lambda: all(len(reader.records[number]) == 2 for number in BOTH), reader)
    assert [reader.values(number) for number in BOTH] == [[b"3", b"4"], [b"3", b"4"]]


def test_a_pause_ends_with_the_ownership(side: Side) -> None:
    """What comes back is read, unless it is paused again; the other one that was paused stays so meanwhile."""
    side.write(*(side.event(b"%d" % number, number % 2) for number in range(4)))
    one = Reader(side, side.log("0"), "one", pauses=BOTH)
    until(side, lambda: one.owned == BOTH, one)
    two = Reader(side, side.log("1"), "two")
    until(side, lambda: len(two.owned) == 1, one, two)
    (moved,), (kept,) = two.owned, one.owned
    one.pauses.clear()
    two.log.leave()
    until(side, lambda: one.owned == BOTH and len(one.records[moved]) == 2, one)
    assert one.records[kept] == []


def test_a_committed_transaction_is_visible_and_leaves_a_gap(side: Side) -> None:
    side.write(side.event(b"before"))
    side.begin(side.event(b"one"), side.event(b"two")).commit()
    side.write(side.event(b"after"))
    reader = alone(side)
    until(side, lambda: len(reader.records[0]) == 4, reader)
    assert [(record.offset, record.value) for record in reader.records[0]] == [
        (0, b"before"),
        (1, b"one"),
        (2, b"two"),
        (4, b"after"),
    ]


def test_an_aborted_transaction_is_never_seen_and_leaves_a_gap(side: Side) -> None:
    side.begin(side.event(b"one"), side.event(b"two")).abort()
    side.write(side.event(b"after"))
    reader = alone(side)
    until(side, lambda: bool(reader.records[0]), reader)
    assert [(record.offset, record.value) for record in reader.records[0]] == [(3, b"after")]


def test_an_open_transaction_hides_what_comes_after_it(side: Side) -> None:
    side.write(side.event(b"before"))
    transaction = side.begin(side.event(b"inside"))
    side.write(side.event(b"after"), side.event(b"other", 1))
    reader = alone(side)
    until(side, lambda: len(reader.records[0]) == 1 and len(reader.records[1]) == 1, reader)
    assert reader.poll() == []
    assert reader.values() == [b"before"]
    transaction.commit()
    until(side, lambda: len(reader.records[0]) == 3, reader)
    assert reader.values() == [b"before", b"inside", b"after"]


def test_two_open_transactions_hide_what_comes_after_the_first(side: Side) -> None:
    first = side.begin(side.event(b"first"), slot="first")
    second = side.begin(side.event(b"second"), slot="second")
    second.commit()
    reader = alone(side)
    assert reader.poll() == []
    first.abort()
    until(side, lambda: bool(reader.records[0]), reader)
    assert reader.values() == [b"second"]


def test_bounds_end_where_the_first_open_transaction_begins(side: Side) -> None:
    side.write(side.event(b"before"))
    transaction = side.begin(side.event(b"inside"))
    side.write(side.event(b"after"))
    reader = alone(side)
    assert reader.log.bounds(0) == Bounds(0, 1)
    transaction.abort()
    until(side, lambda: reader.log.bounds(0) == Bounds(0, 4), reader)


def test_the_end_is_what_was_heard_last(side: Side) -> None:
    side.write(*(side.event(b"x") for _ in range(3)))
    reader = alone(side)
    until(side, lambda: len(reader.records[0]) == 3, reader)
    assert reader.log.end(0) == 3


# Groups


def test_a_member_alone_has_every_partition(side: Side) -> None:
    assert alone(side).story == [("one", "take_over", (0, 1))]


def test_two_members_share(side: Side) -> None:
    one, two = Reader(side, side.log("0")), Reader(side, side.log("1"))
    until(side, lambda: len(one.owned) == len(two.owned) == 1, one, two)
    assert one.owned | two.owned == BOTH


def test_only_what_moves_is_handed_over_and_before_it_is_taken(side: Side) -> None:
    story: Story = []
    one = Reader(side, side.log("0"), "one", story)
    until(side, lambda: one.owned == BOTH, one)
    two = Reader(side, side.log("1"), "two", story)
    until(side, lambda: len(two.owned) == 1, one, two)
    (moved,) = two.owned
    assert story == [("one", "take_over", (0, 1)), ("one", "hand_over", (moved,)), ("two", "take_over", (moved,))]


def test_what_does_not_move_is_read_on(side: Side) -> None:
    side.write(*(side.event(b"%d" % number, number % 2) for number in range(10)))
    one = Reader(side, side.log("0"))
    until(side, lambda: sum(map(len, one.records.values())) == 10, one)
    two = Reader(side, side.log("1"), starts={0: 5, 1: 5})
    until(side, lambda: len(two.owned) == 1, one, two)
    (kept,) = one.owned
    side.write(side.event(b"new", 0), side.event(b"new", 1))
    until(side, lambda: one.values(kept)[-1] == b"new" and two.values(1 - kept)[-1:] == [b"new"], one, two)
    assert len(one.records[kept]) == 6
    assert two.values(1 - kept) == [b"new"]


def test_who_leaves_hands_over_and_the_other_takes(side: Side) -> None:
    story: Story = []
    one, two = Reader(side, side.log("0"), "one", story), Reader(side, side.log("1"), "two", story)
    until(side, lambda: len(one.owned) == len(two.owned) == 1, one, two)
    (number,) = one.owned
    del story[:]
    one.log.leave()
    until(side, lambda: two.owned == BOTH, two)
    assert story == [("one", "hand_over", (number,)), ("two", "take_over", (number,))]


def test_a_static_member_that_comes_back_finds_its_partitions_and_disturbs_nobody(side: Side) -> None:
    story: Story = []
    one = Reader(side, side.log("0", static=True), "one", story)
    two = Reader(side, side.log("1", static=True), "two", story)
    until(side, lambda: len(one.owned) == len(two.owned) == 1, one, two)
    mine = set(one.owned)
    one.log.leave()
    del story[:]
    again = Reader(side, side.log("0", static=True), "again", story)
    until(side, lambda: again.owned == mine, again, two)
    assert story == [("again", "take_over", tuple(mine))]


def test_a_static_member_that_stays_away_loses_its_partitions_when_its_session_ends(side: Side) -> None:
    one, two = Reader(side, side.log("0", static=True)), Reader(side, side.log("1", static=True))
    until(side, lambda: len(one.owned) == len(two.owned) == 1, one, two)
    one.log.leave()
    side.end(one.log)
    assert len(two.owned) == 1
    until(side, lambda: two.owned == BOTH, two)


def test_who_was_replaced_is_told(side: Side) -> None:
    one = Reader(side, side.log("0", static=True))
    until(side, lambda: one.owned == BOTH, one)
    two = Reader(side, side.log("0", static=True))
    until(side, lambda: two.owned == BOTH, two)
    with pytest.raises(AssayError):
        until(side, lambda: False, one)


def test_what_taking_over_raises_is_raised_by_poll(side: Side) -> None:
    reader = Reader(side, side.log())
    reader.fails_at = "take_over"
    with pytest.raises(AssayError, match="take_over failed"):
        until(side, lambda: False, reader)


def test_what_handing_over_raises_is_raised_by_poll(side: Side) -> None:
    one = alone(side)
    one.fails_at = "hand_over"
    two = Reader(side, side.log("1"))
    with pytest.raises(AssayError, match="hand_over failed"):
        until(side, lambda: False, one, two)


@pytest.fixture
def sleeper(side: Side) -> Iterator[Sleeper]:
    """A member that can fall asleep."""
    if isinstance(side, MemorySide):
        yield SleeperInMemory(side)
        return
    assert isinstance(side, KafkaSide)
    made = SleeperOnKafka(side)
    yield made
    made.close()


def test_who_was_silent_for_a_session_has_lost_what_it_had_and_cannot_commit(side: Side, sleeper: Sleeper) -> None:
    """It is told with the next poll, and publishes nothing even if it does not poll first."""
    until(side, lambda: sleeper.poll() == [["take_over", [0, 1]]])
    assert sleeper.publish() == "published"
    sleeper.sleep()
    other = Reader(side, side.log("other"))
    until(side, lambda: other.owned == BOTH, other)
    sleeper.wake()
    assert sleeper.publish() == "AbortedError"
    assert values(side.visible(side.verdicts, 0)) == [b"from the sleeper"]
    until(side, lambda: sleeper.poll()[1:2] == [["lose", [0, 1]]], other)


# Publishing exactly once


def test_records_and_offsets_are_published_together(side: Side) -> None:
    reader = alone(side)
    publisher = side.publisher(reader.log)
    publisher.publish([side.verdict(b"yes"), side.verdict(b"no", 1)], {0: 7, 1: 9})
    assert values(side.visible(side.verdicts, 0)) == [b"yes"]
    assert values(side.visible(side.verdicts, 1)) == [b"no"]
    assert (reader.log.committed(0), reader.log.committed(1)) == (7, 9)
    publisher.close()


def test_batches_are_published_in_their_order_with_a_gap_between(side: Side) -> None:
    publisher = side.publisher(alone(side).log)
    publisher.publish([side.verdict(b"1"), side.verdict(b"2")], {0: 2})
    publisher.publish([side.verdict(b"3")], {0: 3})
    found = side.visible(side.verdicts, 0)
    assert [(record.offset, record.value) for record in found] == [(0, b"1"), (1, b"2"), (3, b"3")]
    publisher.close()


def test_what_is_published_keeps_key_value_and_headers(side: Side) -> None:
    publisher = side.publisher(alone(side).log)
    headers: list[tuple[str, bytes | None]] = [("traceparent", b"00-ab"), ("nothing", None)]
    publisher.publish([Message(side.verdicts, 0, None, None, headers), side.verdict(b"", key=b"")], {0: 2})
    found = [(record.key, record.value, list(record.headers)) for record in side.visible(side.verdicts, 0)]
    assert found == [(None, None, headers), (b"", b"", [])]
    publisher.close()


def test_offsets_alone_can_be_published(side: Side) -> None:
    reader = alone(side)
    publisher = side.publisher(reader.log)
    publisher.publish([], {1: 4})
    assert (reader.log.committed(0), reader.log.committed(1)) == (None, 4)
    assert side.visible(side.verdicts, 1) == []
    publisher.close()


def test_an_offset_is_told_only_when_no_transaction_can_change_it_any_more(side: Side) -> None:
    reader = alone(side)
    for end, committed in (("abort", None), ("commit", 4)):
        transaction = side.begin_commit(reader.log, {0: 4})
        with pytest.raises(AssayError, match="committed"):
            reader.log.committed(0)
        getattr(transaction, end)()
        assert reader.log.committed(0) == committed


def test_what_is_committed_outlives_the_member(side: Side) -> None:
    one = alone(side)
    publisher = side.publisher(one.log)
    publisher.publish([], {0: 4})
    publisher.close()
    one.log.leave()
    assert alone(side).log.committed(0) == 4


def test_a_new_producer_fences_the_old_one(side: Side) -> None:
    reader = alone(side)
    old = side.publisher(reader.log)
    old.publish([side.verdict(b"old")], {0: 1})
    new = side.publisher(reader.log)
    with pytest.raises(AssayError, match=r"kafka\.slot"):
        old.publish([side.verdict(b"too late")], {0: 2})
    new.publish([side.verdict(b"new")], {0: 2})
    assert values(side.visible(side.verdicts, 0)) == [b"old", b"new"]
    assert reader.log.committed(0) == 2
    new.close()


def test_a_producer_of_another_slot_fences_nobody(side: Side) -> None:
    reader = alone(side)
    one, two = side.publisher(reader.log, "0"), side.publisher(reader.log, "1")
    one.publish([side.verdict(b"one")], {0: 1})
    two.publish([side.verdict(b"two")], {1: 1})
    assert values(side.visible(side.verdicts, 0)) == [b"one", b"two"]
    one.close()
    two.close()


def test_what_a_dead_producer_left_open_is_aborted_by_the_next(side: Side) -> None:
    dead = alone(side)
    side.publisher(dead.log).publish([], {0: 1})
    open_end = side.begin(side.verdict(b"never"), slot="0")
    new = side.publisher(dead.log)
    new.publish([side.verdict(b"seen")], {0: 2})
    assert values(side.visible(side.verdicts, 0)) == [b"seen"]
    with pytest.raises(Exception, match=r"(?i)fenced|^$"):
        open_end.commit()
    assert values(side.visible(side.verdicts, 0)) == [b"seen"]
    new.close()


def test_who_was_replaced_in_the_group_publishes_nothing_however_often_it_tries(side: Side) -> None:
    one = Reader(side, side.log("0", static=True))
    until(side, lambda: one.owned == BOTH, one)
    publisher = side.publisher(one.log, "0")
    publisher.publish([side.verdict(b"old")], {0: 1})
    two = Reader(side, side.log("0", static=True))
    until(side, lambda: two.owned == BOTH, two)
    for _ in range(2):
        with pytest.raises(AbortedError):
            publisher.publish([side.verdict(b"zombie")], {0: 2})
    assert values(side.visible(side.verdicts, 0)) == [b"old"]
    assert two.log.committed(0) == 1


# Publishing at least once


def test_at_least_once_publishes_and_then_commits(side: Side) -> None:
    reader = alone(side)
    publisher = side.publisher(reader.log, exactly_once=False)
    publisher.publish([side.verdict(b"yes"), side.verdict(b"no", 1)], {0: 7, 1: 9})
    assert values(side.visible(side.verdicts, 0)) == [b"yes"]
    assert (reader.log.committed(0), reader.log.committed(1)) == (7, 9)
    publisher.close()


def test_at_least_once_leaves_no_gaps(side: Side) -> None:
    publisher = side.publisher(alone(side).log, exactly_once=False)
    for number in range(3):
        publisher.publish([side.verdict(b"%d" % number)], {0: number})
    assert [record.offset for record in side.visible(side.verdicts, 0)] == [0, 1, 2]
    publisher.close()


def test_at_least_once_may_commit_the_same_offset_again(side: Side) -> None:
    reader = alone(side)
    publisher = side.publisher(reader.log, exactly_once=False)
    publisher.publish([], {0: 3})
    publisher.publish([], {0: 3})
    assert reader.log.committed(0) == 3
    publisher.close()


def test_at_least_once_who_was_replaced_cannot_commit_but_was_heard(side: Side) -> None:
    one = Reader(side, side.log("0", static=True))
    until(side, lambda: one.owned == BOTH, one)
    publisher = side.publisher(one.log, "0", exactly_once=False)
    two = Reader(side, side.log("0", static=True))
    until(side, lambda: two.owned == BOTH, two)
    with pytest.raises(AssayError):
        publisher.publish([side.verdict(b"zombie")], {0: 2})
    assert values(side.visible(side.verdicts, 0)) == [b"zombie"]
    assert two.log.committed(0) is None
