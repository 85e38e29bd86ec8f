"""Topics of replays on a real broker, and published verdicts as at-least-once delivery may leave them."""

import pytest

from features.errors import AssayError
from features.records import Coordinates, Verdict, encode
from streams.broker import RunningBroker
from streams.config import load_config
from streams.diff_baselines import Published
from streams.log import LogRecord, Outgoing, Output
from streams.log_range import PartitionRange
from streams.replay_changes import Override
from streams.replay_topic import ReplayTopic, refuse_live_topic, replay_topic, run_identity
from streams.topic_reader import TopicReader
from streams.topics import topic_names
from tests.streams.logs import TRACE
from tests.streams.small_model import small_model
from tests.streams.test_replay import HARSH
from tests.streams.workers import produce

RANGES = [PartitionRange(0, 0, 100), PartitionRange(1, 5, 100)]


def verdict(offset: int, partition: int = 0) -> bytes:
    return encode(
        Verdict(
            event_id=f"p{offset}", account_id="a", time_ms=0, decision="approve", score=0.1, anomaly=None,
            expected_loss_minor=1, reasons=[], model="0" * 16, policy="0" * 16, at=Coordinates(partition, offset),
            flags=[],
        )
    )  # fmt: skip


def batch(offsets: range) -> tuple[list[LogRecord], Output]:
    records = [LogRecord(offset, b"", headers=[TRACE, ("other", b"1")]) for offset in offsets]
    return records, Output(verdicts=[Outgoing(place, b"a", verdict(offset)) for place, offset in enumerate(offsets)])


def test_a_run_is_named_by_all_that_decides_about_it() -> None:
    names = [
        run_identity("t", RANGES, "m", Override()),
        run_identity("u", RANGES, "m", Override()),
        run_identity("t", RANGES[:1], "m", Override()),
        run_identity("t", RANGES, "n", Override()),
        run_identity("t", RANGES, "m", Override(small_model(1))),
        run_identity("t", RANGES, "m", Override(small_model(2))),
        run_identity("t", RANGES, "m", Override(policy=HARSH)),
    ]
    assert len(set(names)) == len(names)
    assert names[0] == run_identity("t", RANGES[::-1], "m", Override())


@pytest.mark.parametrize("run", ["", "a b", "a/b", "x" * 250, "a.b"])
def test_a_name_that_kafka_refuses_is_refused_first(run: str) -> None:
    with pytest.raises(AssayError, match="--run"):
        replay_topic("fraud.", run)


@pytest.mark.parametrize("name", topic_names("fraud."))
def test_live_topics_are_never_written(name: str) -> None:
    with pytest.raises(AssayError, match="live topic"):
        refuse_live_topic(name, "fraud.")


def test_a_run_that_was_killed_is_completed_and_another_one_is_refused(broker: RunningBroker, topic: str) -> None:
    config = load_config(environment={"ASSAY_KAFKA_BOOTSTRAP": broker.bootstrap_servers})
    name = replay_topic(topic, "r1")
    with TopicReader(broker.client_settings) as reader:
        with ReplayTopic(config, reader, name, "one", 2) as out:
            out.write(0, *batch(range(10)))
            out.write(0, *batch(range(12, 17)))  # what failed between is missing; and then it was killed
        with ReplayTopic(config, reader, name, "one", 2) as out:
            for start in (0, 10, 20):
                out.write(0, *batch(range(start, start + 10)))
        found = [record for records in reader.read(name, 0, 0, reader.bounds(name, 0).high) for record in records]
        assert sorted(record.value or b"" for record in found) == sorted(verdict(offset) for offset in range(30))
        assert {tuple(record.headers) for record in found} == {(TRACE, ("assay-replay-run", b"one"))}
        with pytest.raises(AssayError, match="another replay"):
            ReplayTopic(config, reader, name, "two", 2)


def test_published_verdicts_are_found_wherever_a_range_begins(broker: RunningBroker, topic: str) -> None:
    """A worker that started again published some verdicts twice; the first 20 were deleted long ago."""
    offsets = [*range(20, 3_000, 2), *range(2_000, 5_000, 2)]
    produce(broker.bootstrap_servers, f"{topic}verdicts", [(b"a", verdict(offset), 0) for offset in offsets])
    with TopicReader(broker.client_settings) as reader:
        published = Published(reader, f"{topic}verdicts")
        assert (published.end(0), published.end(1)) == (4_999, 0)
        for start, end in ((0, 100), (2_500, 2_600), (2_501, 5_000), (4_990, 6_000)):
            with published.over(PartitionRange(0, start, end), lambda _: None) as beside:
                found = beside([LogRecord(start, b""), LogRecord((start + end) // 2, b"")])
                found = [*found, *beside([LogRecord(end - 1, b"")])]
            assert [each.offset for each in found] == [n for n in range(20, 5_000, 2) if start <= n < end]
        with published.over(PartitionRange(1, 0, 10), lambda _: None) as beside:
            assert list(beside([LogRecord(3, b"")])) == []


def test_a_stranger_in_the_topic_of_verdicts_is_named(broker: RunningBroker, topic: str) -> None:
    produce(broker.bootstrap_servers, f"{topic}verdicts", [(b"a", b"rubbish", 0)])
    with (
        TopicReader(broker.client_settings) as reader,
        pytest.raises(AssayError, match=r"verdicts\[0\]@0.*--diff-model"),
    ):
        Published(reader, f"{topic}verdicts").end(0)
