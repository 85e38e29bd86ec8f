"""What may be sent back, in which order, as what; a slow and obvious answer beside it."""

import random
from collections import defaultdict

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from features.decode import MAX_VALUE_BYTES
from features.errors import InvalidRecord
from features.records import dead_letter_headers, redacted
from streams.dead_letters import Address, Letter, Redriven, item_of
from streams.log import LogRecord
from streams.redrive import (
    BEYOND_LIMIT,
    ELSEWHERE,
    REDACTED,
    REPEATED,
    SENT_BEFORE,
    TOO_LARGE,
    WORN_OUT,
    choose,
    marks_of,
    message_of,
)
from tests.streams.logs import START_MS

SOURCE = "fraud.events"
ERROR = InvalidRecord("rate_missing", "$.currency", "a currency in the model's rates", "USD")


def letter(
    offset: int, partition: int = 0, value: bytes | None = b"{}", *more: tuple[str, bytes | None], topic: str = SOURCE
) -> Letter:
    headers = [*more, *dead_letter_headers(ERROR, topic, partition, offset)]
    item = item_of(partition, LogRecord(offset + 1_000, value, b"a1", START_MS, headers))
    assert isinstance(item, Letter)
    return item


def addresses(letters: list[Letter]) -> list[Address]:
    return [each.source for each in letters]


def test_each_reason_to_stay_is_counted() -> None:
    letters = [
        letter(5),
        letter(5),
        letter(4),
        letter(3, 0, redacted(b"x", b"key")),
        letter(2, 0, b"{}", ("assay-redrive-count", b"3")),
        letter(1, 0, b"{}", ("assay-redrive-count", b"2")),
        letter(6, 0, b"x" * (MAX_VALUE_BYTES + 1)),
        letter(7, topic="other.events"),
        letter(8, 0, None),
    ]
    choice = choose(letters, {Address(SOURCE, 0, 4)}, SOURCE, most_redrives=3, limit=2)
    assert addresses(choice.letters) == [Address(SOURCE, 0, 1), Address(SOURCE, 0, 5)]
    assert choice.left == {
        REPEATED: 1, SENT_BEFORE: 1, REDACTED: 1, WORN_OUT: 1, TOO_LARGE: 1, ELSEWHERE: 1, BEYOND_LIMIT: 1,
    }  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 4)), max_size=60),
    st.sets(st.tuples(st.integers(0, 2), st.integers(0, 30))),
    st.integers(1, 40),
)
def test_the_choice_is_the_obvious_one(
    rows: list[tuple[int, int, int]], done: set[tuple[int, int]], limit: int
) -> None:
    letters = [
        letter(offset, partition, b"{}", ("assay-redrive-count", str(count).encode()))
        for partition, offset, count in rows
    ]
    marked = {Address(SOURCE, *place) for place in done}
    choice = choose(letters, marked, SOURCE, most_redrives=3, limit=limit)
    may_go = {
        (each.source.partition, each.source.offset)
        for each in letters
        if each.source not in marked and each.redrives < 3
    }
    assert [each.source[1:] for each in choice.letters] == sorted(may_go)[:limit]
    assert len(choice.letters) + sum(choice.left.values()) == len(letters)


def test_what_goes_back_is_the_record_with_its_history_in_the_headers() -> None:
    refused = letter(5, 2, b'{"a":1}', ("traceparent", b"00-ab-cd-01"), ("assay-signature", b"ff"))
    message = message_of(refused)
    assert (message.topic, message.partition, message.key, message.value) == (SOURCE, 2, b"a1", b'{"a":1}')
    assert message.headers == [
        *refused.record.headers,
        ("assay-redrive-count", b"1"),
        ("assay-redrive-id", b"fraud.events[2]@5"),
    ]


def test_the_second_time_counts_on_and_keeps_the_first_address() -> None:
    again = letter(9, 2, b"{}", ("assay-redrive-count", b"1"), ("assay-redrive-id", b"fraud.events[2]@5"))
    headers = message_of(again).headers or []
    assert [value for name, value in headers if name == "assay-redrive-count"] == [b"2"]
    assert [value for name, value in headers if name == "assay-redrive-id"] == [b"fraud.events[2]@5"]


def test_an_id_that_a_producer_made_up_is_replaced() -> None:
    forged = letter(9, 2, b"{}", ("assay-redrive-count", b"many"), ("assay-redrive-id", b"mine"))
    assert dict(message_of(forged).headers or [])["assay-redrive-id"] == b"fraud.events[2]@9"


def test_marks_name_what_was_sent_and_stand_with_their_letters() -> None:
    letters = [letter(5, 0), letter(7, 0), letter(5, 1)]
    marks = marks_of(letters, "fraud.events.dlq")
    assert [(mark.topic, mark.partition, mark.key) for mark in marks] == [
        ("fraud.events.dlq", 0, None),
        ("fraud.events.dlq", 1, None),
    ]
    items = [item_of(mark.partition, LogRecord(99, mark.value)) for mark in marks]
    assert [address for item in items if isinstance(item, Redriven) for address in item.addresses()] == addresses(
        letters
    )


@given(st.integers(0, 2**32), st.integers(1, 5))
def test_however_often_and_wherever_runs_die_each_record_goes_back_once_and_in_order(seed: int, limit: int) -> None:
    """Runs in memory: a transaction is all or nothing, a run may die before or after any of them."""
    source = random.Random(seed)
    letters = [letter(offset, partition) for partition in range(2) for offset in range(source.randrange(12))]
    letters += source.sample(letters, len(letters) // 3)  # at_least_once writes letters again
    source.shuffle(letters)
    sent: dict[int, list[int]] = defaultdict(list)
    done: set[Address] = set()
    runs = 0
    while choose(letters, done, SOURCE, most_redrives=3, limit=limit).letters:
        runs += 1
        chosen = choose(letters, done, SOURCE, most_redrives=3, limit=limit).letters
        for part in (chosen[start : start + 2] for start in range(0, len(chosen), 2)):
            if runs < 20 and source.random() < 0.4:
                break
            for each in part:
                sent[each.source.partition].append(each.source.offset)
            for mark in marks_of(part, "fraud.events.dlq"):
                done.update(msgspec.json.decode(mark.value or b"", type=Redriven).addresses())
    for partition, offsets in sent.items():
        assert offsets == sorted({each.source.offset for each in letters if each.source.partition == partition})
