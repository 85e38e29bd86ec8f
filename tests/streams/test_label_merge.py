"""Labels take their place among events: whatever the order they come in."""

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from features.decode import decode
from features.events import Label, LabelIntake, as_log_record
from streams.label_merge import merge_labels
from tests.streams.logs import label, payment

RUBBISH = [b"", b"not json", b"[]", b'{"time_ms":"soon"}', b"\xff", b"[" * 5_000]

times = st.integers(0, 30)
events = st.lists(
    st.one_of(times.map(lambda time_ms: payment(1, "a1", time_ms)), st.sampled_from(RUBBISH)), max_size=25
)


def in_log_form(number: int, known_at_ms: int) -> bytes:
    return label(number, f"p{number}", "a1", known_at_ms)


def as_intake(number: int, known_at_ms: int) -> bytes:
    fields = {"judged_event_id": f"p{number}", "account_id": "a1", "label": "fraud", "known_at_ms": known_at_ms}
    return orjson.dumps({**fields, "source": "analyst"})


labels = st.lists(st.tuples(st.sampled_from([in_log_form, as_intake]), times), max_size=12)


def read(record: bytes) -> tuple[str, int]:
    """Sort and time of a record of the merged log."""
    event = decode(record)
    return ("label", event.known_at_ms) if isinstance(event, Label) else ("event", getattr(event, "time_ms", -1))


@settings(deadline=None)
@given(events=events, labels=labels)
def test_every_label_stands_before_the_first_event_that_is_not_older(
    events: list[bytes], labels: list[tuple[object, int]]
) -> None:
    written = [form(number, known_at_ms) for number, (form, known_at_ms) in enumerate(labels)]  # type: ignore[operator]
    merged = list(merge_labels(events, written))
    sorts = [read(record) for record in merged]
    assert [record for record, (sort, _) in zip(merged, sorts, strict=True) if sort == "event"] == events
    assert sorted(time_ms for sort, time_ms in sorts if sort == "label") == sorted(time_ms for _, time_ms in labels)
    for place, (sort, known_at_ms) in enumerate(sorts):
        if sort == "label":
            assert all(time_ms < known_at_ms for other, time_ms in sorts[:place] if other == "event")
            later = next((time_ms for other, time_ms in sorts[place:] if other == "event"), None)
            assert later is None or later >= known_at_ms
    known = [time_ms for sort, time_ms in sorts if sort == "label"]
    assert known == sorted(known)


@settings(deadline=None)
@given(events=events, labels=labels, order=st.randoms(use_true_random=False))
def test_the_order_of_the_labels_file_matters_only_among_labels_of_one_moment(
    events: list[bytes], labels: list[tuple[object, int]], order: object
) -> None:
    at_their_own_moment = {known_at_ms: form for form, known_at_ms in labels}
    written = [form(number, known_at_ms) for number, (known_at_ms, form) in enumerate(at_their_own_moment.items())]  # type: ignore[operator]
    shuffled = written[:]
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert list(merge_labels(events, shuffled)) == list(merge_labels(events, written))


def test_labels_of_one_moment_keep_the_order_of_their_file() -> None:
    first, second = in_log_form(1, 5), in_log_form(2, 5)
    assert list(merge_labels([payment(9, "a1", 5)], [second, first])) == [second, first, payment(9, "a1", 5)]


def test_the_form_of_the_log_keeps_its_bytes_and_an_intake_becomes_a_record() -> None:
    kept, sent = in_log_form(1, 5), as_intake(2, 6)
    merged = list(merge_labels([], [kept, sent]))
    assert merged[0] == kept
    assert decode(merged[1]) == as_log_record(
        LabelIntake(judged_event_id="p2", account_id="a1", label="fraud", known_at_ms=6, source="analyst")
    )


def test_the_same_intake_twice_is_the_same_record_twice() -> None:
    """So the fold counts a duplicate, not a second label."""
    one, other = merge_labels([], [as_intake(1, 5), as_intake(1, 5)])
    assert one == other


def test_what_is_no_label_goes_first_and_keeps_its_bytes() -> None:
    wrong = [b"rubbish", b'{"judged_event_id":"p1"}', payment(1, "a1", 3), b""]
    event = payment(2, "a1", 1)
    assert list(merge_labels([event], [in_log_form(1, 0), *wrong])) == [*wrong, in_log_form(1, 0), event]


def test_without_events_there_are_only_labels() -> None:
    assert list(merge_labels([], [in_log_form(2, 9), in_log_form(1, 5)])) == [in_log_form(1, 5), in_log_form(2, 9)]


def test_events_are_not_read_ahead() -> None:
    """A log of any length passes through; only the labels are held in memory."""
    taken = []

    def stream() -> object:
        for number in range(10):
            taken.append(number)
            yield payment(number, "a1", number)

    merged = merge_labels(stream(), [in_log_form(1, 5)])  # type: ignore[arg-type]
    for _ in range(3):
        next(merged)
    assert taken == [0, 1, 2]
