"""From outcomes to alerts on a real broker: a feed of labels that dies is told, also over a kill."""

import time
from pathlib import Path

import msgspec
import orjson

from features.records import Alert
from models.label_book import DAY_MS
from models.telemetry_log import LabelSeen, decode_telemetry
from models.watch_limits import CohortLimits
from streams.broker import RunningBroker
from tests.models.labelled_platform import Platform
from tests.streams.logs import START_MS, keyed, payment
from tests.streams.warm.test_alerts_on_kafka import alerts_in
from tests.streams.warm.workers import label, warm_environment, warm_worker
from tests.streams.workers import produce, read_all, stop, worker

DAYS = CohortLimits().horizon_days + 12
SILENT_DAYS = 5


def platform_log(last_day: int) -> list[bytes]:
    """Telemetry of a platform that goes back for more than a horizon, and whose labels stopped some days ago."""
    shift_days, values = last_day - DAYS + 1, []
    for _, records in Platform(4, days=DAYS, silent_from=DAYS - SILENT_DAYS).log():
        for record in records:
            changes = {"time_ms": record.time_ms + shift_days * DAY_MS}
            if isinstance(record, LabelSeen):
                changes["known_at_ms"] = record.known_at_ms + shift_days * DAY_MS
            values.append(msgspec.json.encode(msgspec.structs.replace(record, **changes)))
    return values


def late_labels(bootstrap: str, topic: str, timeout_s: float) -> list[Alert]:
    """Alerts about them; waits for one."""
    deadline_s, told = time.monotonic() + timeout_s, list[Alert]()
    while not told and time.monotonic() < deadline_s:
        told = [one for one in alerts_in(bootstrap, topic, 1, timeout_s=2) if one.alert == "labels-late"]
    return told


def test_labels_that_stop_are_told_and_what_was_counted_outlives_a_kill(
    broker: RunningBroker, topic: str, tmp_path: Path
) -> None:
    servers = broker.bootstrap_servers
    settings = warm_environment(servers, topic, tmp_path)
    values = platform_log(int(time.time() * 1000) // DAY_MS - 3)
    cut = next(number for number in range(len(values) // 2, len(values)) if b'"tick"' in values[number])
    with warm_worker(settings, tmp_path / "log") as process:
        produce(servers, f"{topic}telemetry", [(b"0", value, 0) for value in values[:cut]])
        read_all(servers, [f"{topic}warm.watch-states"], 1, cut)
        assert process.poll() is None, (tmp_path / "log").read_text()
        process.kill()
    with warm_worker(settings, tmp_path / "log") as process:
        produce(servers, f"{topic}telemetry", [(b"0", value, 0) for value in values[cut:]])
        told = late_labels(servers, topic, 180)
        assert process.poll() is None, (tmp_path / "log").read_text()
        assert stop(process) == 0, (tmp_path / "log").read_text()
    assert told, (tmp_path / "log").read_text()
    assert (told[0].status, told[0].severity) == ("firing", "ticket")
    assert told[0].value is not None
    assert told[0].expected is not None
    assert told[0].value < told[0].expected / 2


def test_outcomes_of_every_partition_become_labels_of_one_log(
    broker: RunningBroker, topic: str, tmp_path: Path
) -> None:
    servers, count = broker.bootstrap_servers, 40
    events = keyed([payment(number, f"a{number % 7}", START_MS + number) for number in range(count)])
    assert len({partition for _, _, partition in events}) == 2
    settings = warm_environment(servers, topic, tmp_path)
    labels = []
    for number, (key, value, partition) in enumerate(events):
        event = orjson.loads(value)
        _, body, _ = label(number, event["account_id"], partition, "fraud" if number % 2 else "legit")
        labels.append((key, orjson.dumps({**orjson.loads(body), "judged_event_id": event["event_id"]}), partition))
    with worker(settings, tmp_path / "engine") as engine, warm_worker(settings, tmp_path / "log") as process:
        produce(servers, f"{topic}events", events)
        assert len(read_all(servers, [f"{topic}verdicts"], 2, count)) == count
        produce(servers, f"{topic}labels", labels)
        assert len(read_all(servers, [f"{topic}outcomes"], 2, count)) == count
        deadline_s, found = time.monotonic() + 60, dict[str, LabelSeen]()
        while len(found) < count and time.monotonic() < deadline_s:
            records = [decode_telemetry(m.value() or b"") for m in read_all(servers, [f"{topic}telemetry"], 1, 1)]
            found = {record.event: record for record in records if isinstance(record, LabelSeen)}
        assert stop(process) == 0, (tmp_path / "log").read_text()
        assert stop(engine) == 0, (tmp_path / "engine").read_text()
    assert len(found) == count
    assert sum(record.is_fraud for record in found.values()) == count // 2
