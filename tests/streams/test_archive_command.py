"""`assay archive` against the real broker: what was published is what the archive holds, also after kill -9."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer

from streams.archive import TopicArchiver, archive_until_now
from streams.archive_history import ArchiveHistory
from streams.archive_layout import ArchiveFile
from streams.archive_rows import parquet_bytes
from streams.archive_store import ArchiveStore
from streams.broker import RunningBroker
from streams.log import LogRecord
from streams.profiles import NoProfiles
from streams.topic_reader import TopicHistory, TopicReader
from tests.streams.archives import GrowingHistory, archived, everything_in
from tests.streams.command_line import assay, fails_with
from tests.streams.logs import START_MS, keyed, mixed_log
from tests.streams.scoring import rows, run, write_lines
from tests.streams.scoring import written as written_by
from tests.streams.small_model import small_model_directory
from tests.streams.test_worker import PARTITIONS, by_partition, expected_of, of_topic, topics_of, total
from tests.streams.workers import ASSAY, environment, produce, read_all, stop, worker

LABEL = b'{"judged_event_id":"p%d","account_id":"a","label":"fraud","known_at_ms":5,"source":"analyst"}'


def wait_until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come true"
        time.sleep(0.02)


def all_of(history: TopicHistory | ArchiveHistory, partition: int) -> list[LogRecord]:
    found = [record for batch in history.read(partition, *history.bounds(partition)) for record in batch]
    return [record._replace(headers=tuple(record.headers)) for record in found]


def test_the_archive_is_the_topics_and_gives_the_published_verdicts(
    broker: RunningBroker, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = keyed(mixed_log(2_000, seed=31, accounts=40))
    expected = expected_of(records, tmp_path)
    produce(broker.bootstrap_servers, f"{topic}events", records, traceparent=b"00-ab-cd-01")
    settings = environment(broker.bootstrap_servers, topic, tmp_path / "state", ASSAY_ENGINE_BAD_SHARE="1")
    with worker(settings, tmp_path / "log") as process:
        found = read_all(broker.bootstrap_servers, topics_of(topic), PARTITIONS, total(expected))
        assert stop(process) == 0, (tmp_path / "log").read_text()
    published = by_partition(of_topic(found, "verdicts"))

    archive = tmp_path / "archive"
    command = ("archive", "--to", str(archive), "--topics", "events,verdicts,outcomes", "--rows-per-file", "80")
    killed = subprocess.Popen([ASSAY, *command], env=settings, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(list(archive.rglob("*.parquet"))) >= 3)
    killed.kill()  # wherever it is
    killed.wait()
    first = {path: path.read_bytes() for path in archive.rglob("*.parquet")}

    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    done = assay(*command, "--json")
    assert done.code == 0, done.errors
    written = json.loads(done.output)["topics"]
    assert set(written) == {"events", "verdicts", "outcomes"}
    assert all(each["files"] > 0 for each in written.values()), "the first run was done before it was killed"
    assert {path: path.read_bytes() for path in first} == first
    again = assay(*command, "--json")
    assert [each["files"] for each in json.loads(again.output)["topics"].values()] == [0, 0, 0]

    with TopicReader(broker.client_settings) as reader:
        for name in written:
            live, kept = TopicHistory(reader, f"{topic}{name}"), ArchiveHistory(str(archive), f"{topic}{name}")
            assert kept.partitions() == live.partitions()
            for number in live.partitions():
                taken = all_of(live, number)
                assert kept.bounds(number) == (0, taken[-1].offset + 1)
                assert written[name]["next_offsets"][str(number)] == taken[-1].offset + 1
                assert all_of(kept, number) == taken
                clock_ms = taken[len(taken) // 2].timestamp_ms
                assert clock_ms is not None
                reached = live.offset_at(number, clock_ms)  # or the mark of a transaction right before it
                assert reached is not None
                readable = [one.offset for one in taken if one.offset >= reached]
                assert kept.offset_at(number, clock_ms) == readable[0]

    for number in range(PARTITIONS):
        run(archive / "events", tmp_path / f"scored-{number}", partition=number, profiles=NoProfiles())
        assert written_by(tmp_path / f"scored-{number}").verdicts.splitlines() == published[number]


def test_what_is_not_committed_is_archived_when_it_is(broker: RunningBroker, topic: str, tmp_path: Path) -> None:
    """Open, aborted and committed transactions: the archive never covers what may still become visible."""
    labels = f"{topic}labels"
    url = str(tmp_path / "archive")

    def archive() -> dict[int, int]:
        with TopicReader(broker.client_settings) as reader:
            archiver = TopicArchiver(labels, TopicHistory(reader, labels), ArchiveStore(url))
            archive_until_now([archiver])
            return archiver.carried.next_offsets

    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "transactional.id": f"{topic}feed"})
    producer.init_transactions()
    values = [LABEL % number for number in range(9)]

    def send(numbers: range) -> None:
        producer.begin_transaction()
        for number in numbers:
            producer.produce(labels, values[number], b"a", 0)
        producer.flush()

    send(range(3))
    producer.abort_transaction()
    assert archive() == {}  # four offsets, none with a record
    send(range(3, 6))
    assert archive() == {}  # not committed yet
    produce(broker.bootstrap_servers, labels, [(b"b", values[6], 0)])
    assert archive() == {}  # committed, but behind an open transaction
    producer.commit_transaction()
    assert archive() == {0: 8}
    send(range(7, 9))
    producer.abort_transaction()
    assert archive() == {0: 8}
    produce(broker.bootstrap_servers, labels, [(b"b", values[8], 0)])
    assert archive() == {0: 13}
    assert [record.value for record in everything_in(url, "fraud.labels")] == [*values[3:7], values[8]]
    assert [record.offset for record in everything_in(url, "fraud.labels")] == [4, 5, 6, 7, 12]


def test_follow_goes_on_until_sigterm(broker: RunningBroker, topic: str, tmp_path: Path) -> None:
    settings = environment(broker.bootstrap_servers, topic, tmp_path)
    url = str(tmp_path / "archive")
    command = ("archive", "--to", url, "--topics", "labels")
    following = subprocess.Popen(
        [ASSAY, *command, "--follow", "--every-seconds", "1"], env=settings, stderr=subprocess.PIPE, text=True
    )
    try:
        for number in range(2):
            produce(broker.bootstrap_servers, f"{topic}labels", [(b"a", LABEL % number, 0)])
            wait_until(lambda wanted=number + 1: len(list(Path(url).rglob("*.parquet"))) == wanted)
        another = assay(*command, "--bootstrap", broker.bootstrap_servers)
        fails_with(another, "another `assay archive` is writing there")
        following.send_signal(signal.SIGTERM)
        _, said = following.communicate(timeout=30)
    finally:
        following.kill()
    assert following.returncode == 0, said
    assert "labels: 2 rows in 2 files" in said
    assert len(everything_in(url, "fraud.labels")) == 2


@pytest.fixture
def in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but those of the test."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ASSAY_")]:
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("in_an_empty_directory")
def test_wrong_usage_and_missing_brokers_are_one_line() -> None:
    wrong = assay("archive", "--to", "archive", "--topics", "events,alerts")
    assert wrong.code == 2
    assert "expected some of events, labels, verdicts, outcomes, got 'alerts'" in wrong.errors
    fails_with(assay("archive", "--to", "nosuch://x"), "expected a directory or a URL that fsspec opens")


@pytest.mark.usefixtures("in_an_empty_directory")
def test_scoring_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two partitions: each is a log of its own, with true offsets, and goes on where its state ends."""
    log = mixed_log(300, seed=32)
    records = [LogRecord(10 + n * 2, value, None, START_MS + 10**9 + n * 60_000) for n, value in enumerate(log)]
    url = str(tmp_path / "archive")
    archived(url, GrowingHistory(records[:200], low=10), rows_per_file=50)
    events = tmp_path / "archive" / "events"
    model = ("--model", small_model_directory())
    monkeypatch.setenv("ASSAY_SECURITY_TRUST_INTERNAL", "true")
    first = assay("score", events, "--out", "parts", "--state", "state", *model)
    assert first.code == 0, first.errors
    archived(url, GrowingHistory(records, low=10), rows_per_file=50)
    second = assay("score", events, "--out", "parts", "--state", "state", *model, "--json")
    assert second.code == 0, second.errors
    assert json.loads(second.output)["records"] == 100
    whole = assay("score", events, "--out", "whole", *model)
    assert whole.code == 0, whole.errors
    assert Path("parts").read_bytes() == Path("whole").read_bytes()
    offsets = {record.offset for record in records}
    assert all(verdict["at"]["offset"] in offsets for verdict in rows(Path("whole").read_bytes()))

    labels = write_lines(tmp_path / "labels.jsonl", [])
    with_labels = assay("score", events, "--out", "x", "--labels", labels, *model)
    fails_with(with_labels, "an archived log holds its labels already")
    archived(str(tmp_path / "later"), GrowingHistory([LogRecord(700, b"x")], low=700))
    elsewhere = assay("score", tmp_path / "later" / "events", "--out", "parts", "--state", "state", *model)
    fails_with(elsewhere, "goes from 700 to 701, the state has folded 609")
    beside = ArchiveFile("events", 3, 0, 0, 0)
    ArchiveStore(url).put(beside, parquet_bytes("events", 3, [LogRecord(0, log[0])], None))
    fails_with(assay("score", events, "--out", "x", *model), "holds the partitions 0, 3", "choose one with --partition")
    one = assay("score", events, "--out", "x", "--partition", 3, *model, "--json")
    assert json.loads(one.output)["records"] == 1
