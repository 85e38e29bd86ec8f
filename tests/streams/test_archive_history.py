"""An archive read like a topic: what is missing, doubled or damaged is an error, never another log."""

import subprocess
import sys
from pathlib import Path

import pytest

from features.errors import AssayError
from streams.archive_history import ArchiveHistory
from streams.archive_layout import ArchiveFile
from streams.archive_rows import parquet_bytes
from streams.archive_store import ArchiveStore
from streams.event_files import EventFile
from streams.log import LogRecord
from streams.training_rows import read_labels
from tests.streams.archives import GrowingHistory, archived, everything_in
from tests.streams.logs import START_MS, mixed_log, payment
from tests.streams.scoring import rows, run, scored, written

LOG = [LogRecord(n, b'{"event_id":"e%d"}' % n, b"a", START_MS + n * 500_000) for n in range(24)]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Twenty-four records over some hours, four to a file, in a directory."""
    archived(str(tmp_path / "archive"), GrowingHistory(LOG))
    return tmp_path / "archive"


def files_of(archive: Path) -> list[Path]:
    return sorted(archive.rglob("*.parquet"))


def test_a_directory_is_read_whole_and_in_part(archive: Path) -> None:
    history = ArchiveHistory(str(archive), "test-4.events")
    assert history.partitions() == [0]
    assert history.bounds(0) == (0, 24)
    for start, end in ((0, 24), (3, 5), (5, 5), (7, 99), (24, 30), (23, 24)):
        assert [record for batch in history.read(0, start, end) for record in batch] == LOG[start:end]


def test_before_the_beginning_and_beside_it_there_is_nothing(tmp_path: Path) -> None:
    url = str(tmp_path)
    archived(url, GrowingHistory(LOG[8:], low=8))
    history = ArchiveHistory(url, "fraud.events")
    with pytest.raises(AssayError, match="begins at 8, records from 0 on were asked for"):
        history.read(0, 0, 9)
    with pytest.raises(AssayError, match="events has no partition 1, only 0"):
        history.bounds(1)


@pytest.mark.parametrize(
    ("url", "topic", "said"),
    [
        ("{archive}/nowhere", "fraud.events", "expected files of events, there are none"),
        ("{archive}", "fraud.labels", "expected files of labels, there are none"),
        ("{archive}", "fraud.nonsense", "expected a topic of the contract"),
        ("nosuch://bucket", "fraud.events", "nosuch://bucket: expected a directory or a URL that fsspec opens"),
    ],
)
def test_what_is_no_archive_is_one_line(archive: Path, url: str, topic: str, said: str) -> None:
    with pytest.raises(AssayError, match=said):
        ArchiveHistory(url.format(archive=archive), topic)


def test_a_missing_file_is_named_by_its_offsets(archive: Path) -> None:
    files_of(archive)[2].unlink()
    with pytest.raises(AssayError, match=r"events\[0\]: offsets \d+ to \d+ are missing before"):
        ArchiveHistory(str(archive), "fraud.events")
    with pytest.raises(AssayError, match="are missing before"):  # nor is anything added to it
        archived(str(archive), GrowingHistory(LOG))


def test_files_that_overlap_are_named(archive: Path) -> None:
    store = ArchiveStore(str(archive))
    last = store.files("events")[-1]
    store.put(last._replace(first=last.first - 1), b"")
    with pytest.raises(AssayError, match=f"both hold offset {last.first - 1}"):
        ArchiveHistory(str(archive), "fraud.events")


def test_a_removed_last_file_is_written_again_with_the_same_bytes(archive: Path) -> None:
    last = files_of(archive)[-1]
    before = last.read_bytes()
    last.unlink()
    archived(str(archive), GrowingHistory(LOG, batch=5))
    assert last.read_bytes() == before


def test_what_a_crash_leaves_behind_is_not_seen_and_not_kept(archive: Path) -> None:
    unfinished = archive / "events" / "dt=2025-06-15" / "0123456789abcdef0123456789abcdef.part"
    unfinished.write_bytes(b"half a file")
    assert everything_in(str(archive)) == LOG
    with ArchiveStore(str(archive)).alone(["events"]):
        assert not unfinished.exists()
    assert everything_in(str(archive)) == LOG


@pytest.mark.parametrize("damage", ["cut", "empty", "swapped", "text"])
def test_damage_is_an_error(archive: Path, damage: str) -> None:
    first, second = files_of(archive)[:2]
    content = bytearray(first.read_bytes())
    if damage == "cut":
        content = content[:-20]
    elif damage == "empty":
        content = bytearray()
    elif damage == "swapped":
        content = bytearray(second.read_bytes())
    else:
        content = bytearray(b"not Parquet at all, but long enough to look")
    first.write_bytes(content)
    with pytest.raises(AssayError, match=f"{first.name} cannot be read"):
        everything_in(str(archive))


def test_every_flipped_byte_is_an_error_or_changes_nothing(archive: Path) -> None:
    first = files_of(archive)[0]
    whole = first.read_bytes()
    wrong = 0
    for place in range(0, len(whole), 41):
        content = bytearray(whole)
        content[place] ^= 0x10
        first.write_bytes(content)
        try:
            found = [*ArchiveHistory(str(archive), "fraud.events").read(0, 0, 3)]
            assert found == [LOG[:3]], f"byte {place} gives another log"
        except AssayError:
            wrong += 1
    assert wrong > 50


def test_one_run_at_a_time(archive: Path) -> None:
    store = ArchiveStore(str(archive))
    other = (
        "import sys; from streams.archive_store import ArchiveStore\n"
        "with ArchiveStore(sys.argv[1]).alone([]): print('alone', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", other, str(archive)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"alone\n"
        with pytest.raises(AssayError, match="another `assay archive` is writing there"), store.alone([]):
            pass
        process.kill()
    with store.alone([]):  # a killed run leaves no lock behind
        pass


def test_a_store_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    store = ArchiveStore(str(tmp_path / "file"))
    with pytest.raises(AssayError, match="check the store, its rights and its room"):
        store.put(ArchiveFile("events", 0, 0, 1, 2), b"")
    with pytest.raises(AssayError, match="expected a directory to write into"), store.alone([]):
        pass


def test_the_archive_of_a_log_gives_its_verdicts(tmp_path: Path) -> None:
    """Also where a refused record was redacted: it is refused again."""
    log = mixed_log(200, seed=61)
    log[50:50] = [payment(900, "a1", START_MS, card_id="4111111111111111"), payment(900, "a1", START_MS)]
    of_file = scored(log, tmp_path / "file")
    archived(str(tmp_path), GrowingHistory([LogRecord(*each) for each in enumerate(log)]), rows_per_file=90)
    summary = run(tmp_path / "events", tmp_path / "archive")
    of_archive = written(tmp_path / "archive")
    assert (of_archive.verdicts, of_archive.outcomes) == (of_file.verdicts, of_file.outcomes)
    assert len(rows(of_archive.dead_letters)) == len(rows(of_file.dead_letters)) == sum(summary.dead_letters.values())
    assert b"4111" not in of_archive.dead_letters


def test_an_archived_topic_gives_its_values_partition_after_partition(archive: Path) -> None:
    store = ArchiveStore(str(archive))
    other = [LogRecord(5, b"\xff", None, None), LogRecord(6, None, None, None), LogRecord(9, b"", None, None)]
    store.put(ArchiveFile("events", 2, 5, 9, 0), parquet_bytes("events", 2, other, None))
    assert list(EventFile(archive / "events")) == [*(record.value for record in LOG), b"\xff", b""]


def test_a_directory_that_is_no_archived_topic_is_one_line(archive: Path) -> None:
    with pytest.raises(AssayError, match=r"the directory of an archived topic \(with dt=… in it\), a directory"):
        EventFile(archive)


def test_labels_of_an_archive_are_those_that_were_labels(tmp_path: Path) -> None:
    label = b'{"judged_event_id":"p1","account_id":"a","label":"fraud","known_at_ms":5,"source":"analyst"}'
    log = [LogRecord(0, b"rubbish", None, START_MS), LogRecord(1, label, b"a", START_MS)]
    archived(str(tmp_path), GrowingHistory(log), topic="fraud.labels")
    assert [found.judged_event_id for found in read_labels(tmp_path / "labels")] == ["p1"]
    lines = tmp_path / "labels.jsonl"
    lines.write_bytes(b"rubbish\n" + label + b"\n")
    with pytest.raises(AssayError, match="record 1: expected a label"):  # a file can be corrected
        read_labels(lines)
