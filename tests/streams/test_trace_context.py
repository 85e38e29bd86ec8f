"""The trace context of a record: carried on if it is of the standard's form, else neither carried on nor repeated."""

import logging

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from features.store import MemoryStore
from streams.log import LogRecord
from streams.outbound import messages_of, targets_of
from streams.partition import Partition
from streams.signature import everybody
from streams.trace_context import TraceContext, context_of, traces_of
from tests.streams.logs import START_MS, TRACE, label, payment
from tests.streams.small_model import small_model

HEX = "0123456789abcdef"
HOSTILE = [
    b"",
    b"00-1-2-01",
    TRACE[1].upper(),
    TRACE[1] + b"\n",
    TRACE[1] + b"-more",
    b"ff" + TRACE[1][2:],
    b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01",
    b"00-0af7651916cd43dd8448eb211c80319c-" + b"0" * 16 + b"-01",
    b"00-" + b"a" * 900_000,
    "００-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".encode(),
    b"4111111111111111",
]


def read_slowly(value: bytes) -> TraceContext | None:
    """The grammar of the standard, member by member."""
    try:
        parts = value.decode("ascii").split("-")
    except UnicodeDecodeError:
        return None
    if [len(part) for part in parts] != [2, 32, 16, 2] or any(set(part) - set(HEX) for part in parts):
        return None
    version, trace, parent, flags = parts
    if version == "ff" or int(trace, 16) == 0 or int(parent, 16) == 0:
        return None
    return TraceContext(int(trace, 16), int(parent, 16), int(flags, 16) % 2 == 1)


def member(length: int) -> st.SearchStrategy[str]:
    return st.one_of(st.text(HEX, min_size=length, max_size=length), st.just("0" * length), st.just("f" * length))


headers = st.one_of(
    st.tuples(member(2), member(32), member(16), member(2)).map(lambda parts: "-".join(parts).encode()),
    st.text(HEX + "-", min_size=50, max_size=60).map(str.encode),
    st.binary(max_size=60),
)


@given(headers)
@example(TRACE[1])
@example(TRACE[1] + b"\n")
def test_it_is_read_as_the_standard_says(value: bytes) -> None:
    assert context_of([("traceparent", value)]) == read_slowly(value)
    assert (traces_of([("traceparent", value)]) is None) == (read_slowly(value) is None)


def test_the_first_sound_one_counts_and_nothing_else_is_carried_on() -> None:
    other = ("traceparent", TRACE[1][:-2] + b"00")
    assert traces_of([("a", b"1"), ("traceparent", None), ("traceparent", b"x"), TRACE, other]) == [TRACE]
    assert traces_of([("tracestate", b"a=1"), ("Traceparent", TRACE[1])]) is None
    assert traces_of([]) is None


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: value[:24].hex())
def test_a_hostile_one_leaves_nowhere_but_with_the_refused_record(
    value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A verdict with a header of nearly a megabyte would be refused by the broker, and the worker would end."""
    with caplog.at_level(logging.DEBUG):
        hostile = [("traceparent", value)]
        records = [
            LogRecord(7, payment(1, "a1", START_MS), b"a1", None, hostile),
            LogRecord(8, label(2, "p1", "a1", START_MS), b"a1", None, hostile),
            LogRecord(9, b"rubbish", b"a1", None, hostile),
        ]
        output = Partition(0, MemoryStore(), small_model(), lambda _: small_model()).fold(records, everybody)
        verdict, outcome, letter = messages_of(output, records, 0, targets_of("fraud."), None)
    assert verdict.headers is None
    assert outcome.headers is None
    assert letter.headers is not None
    assert letter.headers[0] == hostile[0]
    assert not value or value.decode() not in caplog.text


def test_an_outcome_carries_the_context_of_its_label_and_a_verdict_that_of_its_event() -> None:
    of_label = ("traceparent", TRACE[1].replace(b"b7ad", b"1234"))
    records = [
        LogRecord(7, payment(1, "a1", START_MS), b"a1", None, [TRACE]),
        LogRecord(8, label(2, "p1", "a1", START_MS), b"a1", None, [("other", b"x"), of_label]),
    ]
    output = Partition(0, MemoryStore(), small_model(), lambda _: small_model()).fold(records, everybody)
    verdict, outcome = messages_of(output, records, 0, targets_of("fraud."), None)
    assert (verdict.topic, verdict.headers) == ("fraud.verdicts", [TRACE])
    assert (outcome.topic, outcome.headers) == ("fraud.outcomes", [of_label])
