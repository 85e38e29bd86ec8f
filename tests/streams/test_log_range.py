"""Places as people name them, and ranges that stay as they are."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import AssayError
from streams.log import LogRecord
from streams.log_range import Moment, Offset, PartitionRange, parse_place, resolve
from tests.streams.histories import ListHistory

NOW_MS = 1_760_000_000_000


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("0", Offset(0)),
        ("99999999999", Offset(99_999_999_999)),
        ("100000000000", Moment(100_000_000_000)),
        ("now", Moment(NOW_MS)),
        ("-90s", Moment(NOW_MS - 90_000)),
        ("-30m", Moment(NOW_MS - 1_800_000)),
        ("-1h", Moment(NOW_MS - 3_600_000)),
        ("-2d", Moment(NOW_MS - 172_800_000)),
        ("1970-01-02T00:00:00Z", Moment(86_400_000)),
        ("1970-01-02T02:00:00.5+02:00", Moment(86_400_500)),
    ],
)
def test_places(text: str, place: object) -> None:
    assert parse_place(text, NOW_MS) == place


@pytest.mark.parametrize(
    "text", ["", "-1", "1h", "-1w", "-h", "yesterday", "1.5", "2025-06-30", "2025-06-30T02:40:00", "²", "+5", "-1.5h"]
)
def test_what_is_no_place_is_told_so(text: str) -> None:
    with pytest.raises(AssayError, match="ISO 8601 with its zone"):
        parse_place(text, NOW_MS)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))
def test_iso_times_are_exact_to_the_millisecond(moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1_000 * 1_000, tzinfo=UTC)
    parsed = parse_place(moment.isoformat(), 0)
    assert isinstance(parsed, Moment)
    assert parsed.time_ms == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def history() -> ListHistory:
    logs = {
        number: [LogRecord(offset, b"", timestamp_ms=FIRST_MS + 1_000 * offset) for offset in range(number, 10, 2)]
        for number in (0, 1)
    }
    return ListHistory(logs)


FIRST_MS = 1_750_000_000_000


def test_everything() -> None:
    assert resolve(history(), [], None, None) == [PartitionRange(0, 0, 9), PartitionRange(1, 1, 10)]


def test_times_are_looked_up_in_each_partition() -> None:
    found = resolve(history(), [], Moment(FIRST_MS + 3_500), Moment(FIRST_MS + 7_000))
    assert found == [PartitionRange(0, 4, 8), PartitionRange(1, 5, 7)]


def test_a_time_after_the_end_is_the_end() -> None:
    assert resolve(history(), [1], Offset(3), Moment(FIRST_MS * 2)) == [PartitionRange(1, 3, 10)]


def test_partitions_are_taken_once_and_in_order() -> None:
    assert [part.partition for part in resolve(history(), [1, 0, 1], None, None)] == [0, 1]


@pytest.mark.parametrize(
    ("partitions", "start", "end", "words"),
    [
        ([], Offset(1), None, "--partition"),
        ([], None, Offset(1), "--partition"),
        ([2], None, None, "expected one of 0, 1"),
        ([1], Offset(11), None, "at most 10"),
        ([1], None, Offset(11), "at most 10"),
        ([1], Offset(5), Offset(4), "--from before --to"),
        ([], Moment(FIRST_MS + 5_000), Moment(FIRST_MS), "--from before --to"),
    ],
)
def test_what_is_no_range_is_told_so(partitions: list[int], start: object, end: object, words: str) -> None:
    with pytest.raises(AssayError, match=words):
        resolve(history(), partitions, start, end)  # type: ignore[arg-type]
