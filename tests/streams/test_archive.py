"""Every record of a log is in its archive once, in order, whatever happens while it is written."""

import random
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import AssayError
from streams.archive import TopicArchiver, archive_until_now
from streams.archive_cutter import Cutter, Piece
from streams.archive_history import ArchiveHistory
from streams.archive_layout import HOUR_MS, ArchiveFile, chains, hour_of, parse
from streams.archive_store import ArchiveStore
from streams.log import LogRecord
from tests.streams.archives import GrowingHistory, archived, everything_in, fresh_url

START_MS = 486_112 * HOUR_MS  # 2025-06-14, 16:00
LABELS = "fraud.labels"  # the topic with the fewest columns, where there are many examples


@st.composite
def logs(draw: st.DrawFn) -> list[LogRecord]:
    """Records with gaps between their offsets, and times that mostly rise, stand still, or fall far back."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from([1, 1, 1, 2, 5]), st.sampled_from([0, 1, 900_000, HOUR_MS, -1, -3 * HOUR_MS, None])
            ),
            max_size=40,
        )
    )
    offset, time_ms, log = draw(st.integers(0, 3)), START_MS, []
    for gap, later_ms in steps:
        time_ms += later_ms or 0
        body = draw(st.sampled_from([b"", b"not json", b'{"type":"payment","amount_minor":5}', None]))
        headers = draw(st.sampled_from([(), (("traceparent", b"00-ab"), ("empty", None))]))
        key = draw(st.sampled_from([b"a1", None, b"\xff"]))
        log.append(LogRecord(offset, body, key, None if later_ms is None else time_ms, headers))
        offset += gap
    return log


class _CrashError(Exception):
    """The process is gone."""


class CrashingStore(ArchiveStore):
    """Crashes at one of its writes, before or after the file is there."""

    def __init__(self, url: str, writes: int, is_after: bool) -> None:
        super().__init__(url)
        self._writes, self._is_after = writes, is_after

    def put(self, file: ArchiveFile, content: bytes) -> None:
        self._writes -= 1
        if self._writes == 0 and not self._is_after:
            raise _CrashError
        super().put(file, content)
        if self._writes == 0:
            raise _CrashError


runs = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9), st.integers(1, 6), st.booleans()), max_size=6)


@given(log=logs(), runs=runs, trailing=st.integers(0, 2), rows_per_file=st.integers(1, 7))
def test_crashes_and_growth_leave_every_record_once(
    log: list[LogRecord], runs: list[tuple[int, int, int, bool]], trailing: int, rows_per_file: int
) -> None:
    url = fresh_url()
    end = log[-1].offset + 1 + trailing if log else trailing
    history = GrowingHistory(log, high=0)
    for more, batch, writes, is_after in runs:
        history.high, history.batch = min(end, history.high + more), batch
        with suppress(_CrashError):
            archived(
                url, history, topic=LABELS, rows_per_file=rows_per_file, store=CrashingStore(url, writes, is_after)
            )
        files = ArchiveStore(url).files("labels")
        if files:  # at any moment a reader finds the beginning of the log
            so_far = everything_in(url, LABELS)
            assert so_far == log[: len(so_far)]
    history.high = end
    archived(url, history, topic=LABELS, rows_per_file=rows_per_file)
    if log:
        assert everything_in(url, LABELS) == log
        assert ArchiveHistory(url, LABELS).bounds(0).low == 0
    else:
        assert ArchiveStore(url).files("labels") == []


@given(log=logs(), rows=st.integers(1, 6), most_bytes=st.integers(1, 80), data=st.data())
def test_how_a_log_is_read_does_not_show_in_its_pieces(
    log: list[LogRecord], rows: int, most_bytes: int, data: st.DataObject
) -> None:
    def cut(batches: Sequence[list[LogRecord]]) -> list[Piece]:
        cutter = Cutter(0, 0, rows, most_bytes)
        pieces = [piece for batch in batches for piece in cutter.add(batch)]
        last = cutter.finish()
        return pieces + ([last] if last else [])

    size = data.draw(st.integers(1, 9))
    pieces = cut([log])
    assert pieces == cut([log[at : at + size] for at in range(0, len(log), size)])
    assert [record for piece in pieces for record in piece.records] == log
    for piece in pieces:
        held = sum(len(r.value or b"") + len(r.key or b"") + sum(len(n) + len(v or b"") for n, v in r.headers)
                   for r in piece.records)  # fmt: skip
        assert 1 <= len(piece.records) <= rows
        assert held <= most_bytes or len(piece.records) == 1
        assert piece.first <= piece.records[0].offset
        assert piece.records[-1].offset <= piece.last
    if pieces:
        assert pieces[0].first == 0
        assert pieces[-1].last == log[-1].offset
        assert all(later.first == earlier.last + 1 for earlier, later in pairwise(pieces))


@given(log=logs(), time_ms=st.integers(START_MS - 4 * HOUR_MS, START_MS + 40 * HOUR_MS))
def test_hours_never_go_back_and_asking_for_a_time_is_a_plain_search(log: list[LogRecord], time_ms: int) -> None:
    if not log:
        return
    url = fresh_url()
    history = GrowingHistory(log)
    archived(url, history, topic=LABELS)
    files = chains(ArchiveStore(url).files("labels"), "")[0]
    assert [file.hour for file in files] == sorted(file.hour for file in files)
    for file in files:
        for record in log:
            if file.first <= record.offset <= file.last and record.timestamp_ms is not None:
                assert hour_of(record.timestamp_ms, 0) <= file.hour  # so that asking from an hour on loses nothing
    assert ArchiveHistory(url, LABELS).offset_at(0, time_ms) == history.offset_at(0, time_ms)


def test_records_in_order_lie_in_their_own_hour() -> None:
    log = [LogRecord(offset, b"", b"", START_MS + offset * 600_000) for offset in range(30)]
    url = fresh_url()
    archived(url, GrowingHistory(log), rows_per_file=100)
    for file in ArchiveStore(url).files("events"):
        hours = {START_MS // HOUR_MS + offset // 6 for offset in range(file.first, file.last + 1)}
        assert hours == {file.hour}


def test_clocks_that_differ_by_seconds_make_no_crowd_of_files() -> None:
    """Around a full hour the times of ten thousand records jump back and forth."""
    source = random.Random(3)
    border = START_MS + HOUR_MS
    log = [LogRecord(n, b"", None, border - 50_000 + n * 10 + source.randrange(-9_000, 9_000)) for n in range(10_000)]
    url = fresh_url()
    archived(url, GrowingHistory(log, batch=1_000), rows_per_file=100_000)
    assert len(ArchiveStore(url).files("events")) == 2
    assert everything_in(url) == log


def test_a_range_without_records_is_covered_by_the_next_file() -> None:
    url = fresh_url()
    history = GrowingHistory([LogRecord(7, b"x", None, START_MS)], high=5)  # offsets 0 to 6 were aborted
    archived(url, history)
    assert ArchiveStore(url).files("events") == []
    history.high = 9
    archiver = archived(url, history)
    (file,) = ArchiveStore(url).files("events")
    assert (file.first, file.last) == (0, 7)  # 8 may only seem to be empty
    assert archiver.carried.next_offsets == {0: 8}
    archived(url, history)
    assert ArchiveStore(url).files("events") == [file]


def test_a_run_that_is_told_to_stop_writes_no_more() -> None:
    url = fresh_url()
    log = [LogRecord(n, b"", None, START_MS) for n in range(20)]
    calls: list[int] = []

    def stopped() -> bool:
        calls.append(1)
        return len(calls) > 4

    archiver = TopicArchiver("fraud.events", GrowingHistory(log), ArchiveStore(url), rows_per_file=4)
    archive_until_now([archiver], stopped)
    so_far = everything_in(url)
    assert 0 < len(so_far) < 20
    archived(url, GrowingHistory(log))
    assert everything_in(url) == log


def test_progress_ends_at_all_offsets() -> None:
    seen: list[tuple[int, int, int | None]] = []
    log = [LogRecord(n * 2, b"", None, START_MS) for n in range(10)]
    archiver = TopicArchiver("fraud.events", GrowingHistory(log, high=25), ArchiveStore(fresh_url()))
    archive_until_now([archiver], progress=lambda *at: seen.append(at))
    assert seen[-1] == (10, 25, 25)
    assert [passed for _, passed, _ in seen] == sorted(passed for _, passed, _ in seen)


def test_records_that_were_dropped_before_they_were_archived_are_no_silent_gap() -> None:
    url = fresh_url()
    log = [LogRecord(n, b"", None, START_MS) for n in range(20)]
    archived(url, GrowingHistory(log[:5]))
    with pytest.raises(AssayError, match="ends at 5, the log begins at 9: the records between were dropped"):
        archived(url, GrowingHistory(log, low=9))


def test_a_log_may_begin_above_0() -> None:
    url = fresh_url()
    log = [LogRecord(n, b"", None, START_MS) for n in range(9, 20)]
    archived(url, GrowingHistory(log, low=9))
    assert ArchiveHistory(url, "fraud.events").bounds(0) == (9, 20)


def test_a_topic_made_anew_is_not_appended() -> None:
    url = fresh_url()
    archived(url, GrowingHistory([LogRecord(n, b"", None, START_MS) for n in range(20)]))
    with pytest.raises(AssayError, match="goes up to 20, the log ends at 3: it is another topic"):
        archived(url, GrowingHistory([LogRecord(n, b"", None, START_MS) for n in range(3)]))


files = st.builds(
    ArchiveFile,
    st.sampled_from(["events", "events.dlq"]),
    st.integers(0, 300),
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**63 - 1),
    st.integers(0, 70_000_000),
)


@given(file=files)
def test_a_name_says_everything(file: ArchiveFile) -> None:
    assert parse(file.path) == file


@pytest.mark.parametrize(
    "path", ["events/dt=2025-06-14/0123.part", "events/_SUCCESS", "events/dt=2025-06-14/.x.parquet"]
)
def test_what_queries_pass_over_is_passed_over(path: str) -> None:
    assert parse(path) is None


@pytest.mark.parametrize(
    "path",
    [
        "events/events-0-00000000000000000000-00000000000000000001.parquet",
        "events/dt=2025-06-14/hour=16/labels-0-00000000000000000000-00000000000000000001.parquet",
        "events/dt=2025-06-14/hour=16/events-0-0-1.parquet",
        "events/dt=2025-06-14/hour=16/copy of events-0-00000000000000000000-00000000000000000001.parquet",
    ],
)
def test_a_stranger_that_queries_would_read_is_an_error(path: str) -> None:
    with pytest.raises(AssayError, match="move it away"):
        parse(path)


@pytest.mark.parametrize("timestamp_ms", [10**18, 2**62])
def test_a_time_beyond_all_calendars_has_a_directory(timestamp_ms: int) -> None:
    hour = hour_of(timestamp_ms, 0)
    assert ArchiveFile("events", 0, 0, 0, hour).path.startswith("events/dt=9999-12-31/hour=23/")
