"""What leaves the engine: to which partition, with which headers, and never with a card number."""

import logging

import orjson
import pytest

from features.store import MemoryStore
from streams.log import LogRecord
from streams.outbound import messages_of, targets_of
from streams.partition import Partition
from streams.publisher import Message
from streams.signature import everybody, nobody
from tests.streams.logs import START_MS, label, payment
from tests.streams.small_model import small_model

CARD = "4111 1111 1111 1111"
TARGETS = targets_of("fraud.")


def published(records: list[LogRecord], *, trusting: bool = True) -> list[Message]:
    partition = Partition(5, MemoryStore(), small_model(), lambda _: small_model())
    output = partition.fold(records, everybody if trusting else nobody)
    return messages_of(output, records, 5, TARGETS, b"secret")


def test_everything_goes_to_the_partition_it_came_from() -> None:
    records = [
        LogRecord(7, payment(1, "a1", START_MS), b"a1"),
        LogRecord(8, label(2, "p1", "a1", START_MS), b"a1"),
        LogRecord(9, b"rubbish", b"a1"),
    ]
    messages = published(records)
    assert [message.topic for message in messages] == ["fraud.verdicts", "fraud.outcomes", "fraud.events.dlq"]
    assert {message.partition for message in messages} == {5}
    assert messages[0].key == b"a1"


def test_trace_context_travels_in_the_header_only() -> None:
    trace = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    value = payment(1, "a1", START_MS)
    with_trace = published([LogRecord(7, value, b"a1", None, [("other", b"x"), trace])])[0]
    without = published([LogRecord(7, value, b"a1")])[0]
    assert with_trace.headers == [trace]
    assert without.headers is None
    assert with_trace.value == without.value


def test_a_dead_letter_keeps_key_value_and_headers() -> None:
    (message,) = published([LogRecord(7, b"rubbish", b"a1", None, [("theirs", b"1")])])
    assert message.value == b"rubbish"
    assert message.key == b"a1"
    assert message.headers is not None
    assert message.headers[0] == ("theirs", b"1")
    assert dict(message.headers)["__connect.errors.offset"] == b"7"


@pytest.mark.parametrize(
    "value",
    [
        payment(1, "a1", START_MS, card_id=CARD),
        payment(1, "a1", START_MS, card_id=CARD.replace(" ", "")),
        payment(1, "a1", START_MS, currency="???", note=f"paid with {CARD}"),
        b'{"type":"payment","card_id":"' + CARD.encode(),
        orjson.dumps(orjson.loads(label(1, "p1", "a1", START_MS)) | {"note": CARD}),
    ],
)
def test_a_card_number_leaves_nowhere(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Not in the dead letter, not in its headers, not in the log of the program; length and keyed hash remain."""
    with caplog.at_level(logging.DEBUG):
        (message,) = published([LogRecord(7, value, b"a1")], trusting=False)
    assert message.topic == "fraud.events.dlq"
    said = b" ".join([message.value or b"", *(v or b"" for _, v in message.headers or [])]).decode() + caplog.text
    assert "4111" not in said
    assert str(len(value)) in (message.value or b"").decode()


def test_two_redacted_records_can_be_told_apart_only_with_the_key() -> None:
    first = payment(1, "a1", START_MS, card_id=CARD)
    second = payment(2, "a1", START_MS, card_id=CARD)
    values = [published([LogRecord(7, value, b"a1")])[0].value for value in (first, first, second)]
    assert values[0] == values[1]
    assert values[0] != values[2]


def test_a_record_that_is_refused_again_carries_one_address_and_one_reason() -> None:
    """Its headers still have the first refusal when it comes back; tools read the first of a name, others the last."""
    (first,) = published([LogRecord(7, b"rubbish", b"a1", None, [("theirs", b"1")])])
    back = [*(first.headers or []), ("assay-redrive-count", b"1")]
    (second,) = published([LogRecord(90, b"rubbish", b"a1", None, back)])
    names = [name for name, _ in second.headers or []]
    assert len(names) == len(set(names))
    assert dict(second.headers or [])["__connect.errors.offset"] == b"90"
    assert names[:2] == ["theirs", "assay-redrive-count"]
