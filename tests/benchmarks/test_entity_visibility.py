"""The way of a profile, read from topics that were written by hand."""

import numpy as np
import orjson
import pytest

from benchmarks.entity_visibility import Topics, behind, is_what_links_say, steps_of
from features.entities import DEVICE
from features.links import FLUSH, LINK, MARK, VOLUME, Flushes, flushes_json
from streams.log import LogRecord
from streams.warm.entity_step import EntityStep

ENTITY = 7
START_MS = 1_700_000_000_000


def links(number: int, account: int, at_ms: int) -> LogRecord:
    """One account meets the device in a flush of a second, which arrives a second after the event."""
    rows = np.zeros(1, dtype=LINK)
    rows["flush"], rows["account"], rows["entity"], rows["kind"] = number, account, ENTITY, DEVICE
    rows["time_ms"] = at_ms
    flush = np.array([(number, 10 * number, at_ms)], dtype=FLUSH)
    return LogRecord(
        number, flushes_json(0, Flushes(flush, rows, np.zeros(0, VOLUME), np.zeros(0, MARK))), None, at_ms + 1_000
    )


def marker(offset: int, visible: int, at_ms: int) -> LogRecord:
    value = {"event_id": f"entities-{visible}", "type": "marker", "marker": "entities", "value": str(visible)}
    return LogRecord(offset, orjson.dumps(value), None, at_ms)


def verdict(offset: int, visible: int, at_ms: int) -> LogRecord:
    value = {"event_id": "e", "at": {"partition": 0, "offset": offset, "entities_offset": visible}, "flags": []}
    return LogRecord(offset, orjson.dumps(value), None, at_ms)


@pytest.fixture
def topics() -> Topics:
    told = [links(number, number + 1, START_MS + 100 * number) for number in range(4)]
    step = EntityStep("entities")
    profiles: list[LogRecord] = []
    for record in told:
        for message in step.take(record.offset, record.value or b""):
            arrived_ms = (record.timestamp_ms or 0) + 10
            profiles.append(LogRecord(len(profiles), message.value, message.key, arrived_ms))
    sent = [LogRecord(0, orjson.dumps({"time_ms": START_MS + 50 * n}), b"a", START_MS + 50 * n + 4) for n in range(9)]
    first = [*sent, marker(1, 0, START_MS + 1_200), marker(2, 2, START_MS + 1_500)]
    second = [marker(0, 0, START_MS + 1_250), marker(1, 1, START_MS + 1_600), marker(2, 2, START_MS + 1_700)]
    seen = [verdict(0, -1, START_MS), verdict(1, 1, START_MS + 2_000), verdict(2, 2, START_MS + 2_100)]
    return Topics([first, second], [seen], told, profiles)


def test_every_step_has_its_moment(topics: Topics) -> None:
    steps, others = steps_of(topics)
    assert others == 0
    assert (steps.due - START_MS).tolist() == [100, 200, 300], "one account alone is not told"
    assert (steps.sent - steps.due).tolist() == [4, 4, 4]
    assert (steps.told - steps.due).tolist() == [1_000, 1_000, 1_000]
    assert (steps.published - steps.told).tolist() == [10, 10, 10]
    assert (steps.marked - START_MS).tolist() == [1_250, 1_600, 1_700], "visible is what every partition shows"
    assert (steps.seen - START_MS).tolist() == [2_000, 2_000, 2_100]


def test_what_nobody_has_seen_yet_has_no_moment(topics: Topics) -> None:
    steps, _ = steps_of(topics._replace(verdicts=[topics.verdicts[0][:2], topics.verdicts[0]]))
    assert np.isnan(steps.seen).tolist() == [False, False, True]


def test_records_of_links_wait_until_a_profile_of_them_is_there(topics: Topics) -> None:
    assert [behind(topics, START_MS + moment_ms) for moment_ms in (1_105, 1_110, 1_305, 1_310)] == [2, 0, 1, 0]


def test_another_profile_is_noticed(topics: Topics) -> None:
    assert is_what_links_say(topics)
    changed = topics.entities[0]._replace(value=topics.entities[1].value)
    assert not is_what_links_say(topics._replace(entities=[changed, *topics.entities[1:]]))
    assert not is_what_links_say(topics._replace(entities=topics.entities[:-1]))
