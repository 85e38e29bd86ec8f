"""`assay alerts` from end to end on a real broker, and what of it needs none."""

import json
import time
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer

from features.records import Alert
from models.finding import Finding
from models.telemetry_log import Snooze, Tick, decode_telemetry
from models.watch_limits import WatchLimits
from streams.alert_book import REPEAT_MS, AlertBook
from streams.alert_desk import rows_of, stored_book
from streams.broker import RunningBroker
from streams.topic_reader import TopicReader
from streams.warm.telemetry_step import ALERTS, MINUTES, WATCH, TelemetryFold
from streams.warm.traffic_watch import TrafficWatch
from tests.streams.command_line import assay, fails_with
from tests.streams.small_model import small_model
from tests.streams.warm.test_alerts_on_kafka import FEATURE, alerts_in, just_now_ms, send, summaries
from tests.streams.warm.workers import warm_environment, warm_worker
from tests.streams.workers import stop

MINUTE_MS = 60_000
DRIFT = [Finding(name=f"psi:{name}", level="warn", value=0.2, expected=0.0, text="moved") for name in ("a", "b")]


def nap(kind: str, subject: str | None, until_ms: int) -> Snooze:
    return Snooze(kind=kind, subject=subject, until_ms=until_ms, by="ana", reason="known")


def test_rows_say_what_fires_what_is_kept_back_and_what_would_be() -> None:
    book = AlertBook()
    for one in (nap("feature-drift", "a", 90), nap("volume-drop", None, 90), nap("calibration", None, 40)):
        book.snooze(one)
    book.observe(DRIFT, 30)
    rows = [(row["alert"], row["subject"], row["state"], row["by"]) for row in rows_of(book, 50)]
    assert rows == [
        ("feature-drift", "a", "snoozed", "ana"),
        ("feature-drift", "b", "firing", None),
        ("volume-drop", "", "quiet", "ana"),
    ]
    assert {row["state"] for row in rows_of(book, 90)} == {"firing"}


def fold_of(rows: dict[bytes, bytes | None]) -> TelemetryFold:
    fold = TelemetryFold(TrafficWatch(lambda _: small_model().artefact.reference, WatchLimits()), REPEAT_MS)
    fold.restore(rows)
    return fold


def folded(log: list[bytes], restart_after: int | None = None, again: int = 0) -> tuple[list[tuple[str, str]], bytes]:
    """What a log makes of alerts, and the book at the end; stopped after a record, and then the last ones once more."""
    rows: dict[bytes, bytes | None] = dict.fromkeys((WATCH, ALERTS, MINUTES))
    fold, told = fold_of(rows), []
    order = list(range(len(log)))
    if restart_after is not None:
        order = [*order[: restart_after + 1], *order[max(0, restart_after + 1 - again) :]]
    for number, place in enumerate(order):
        step = fold.step(log[place])
        told += [(alert.alert, alert.status) for alert in step.alerts]
        rows.update(step.rows)
        if number == restart_after:
            fold = fold_of(rows)
    return told, fold.book.state()


def story() -> list[bytes]:
    """A feature is lost for some minutes, while it is snoozed and unsnoozed."""
    log = [msgspec.json.encode(summary) for summary in summaries(0)]
    last_ms = len(log) * MINUTE_MS
    ticks = [Tick(minute * MINUTE_MS + 40_000) for minute in range(1, len(log) + 6)]
    records = [(tick.time_ms, msgspec.json.encode(tick)) for tick in ticks]
    records += [(number * MINUTE_MS, value) for number, value in enumerate(log)]
    records += [(4 * MINUTE_MS, msgspec.json.encode(nap("feature-lost", None, last_ms)))]
    records += [(8 * MINUTE_MS, msgspec.json.encode(nap("feature-lost", None, 8 * MINUTE_MS)))]
    records += [(9 * MINUTE_MS, msgspec.json.encode(nap("feature-lost", FEATURE, 2 * last_ms)))]
    return [value for _, value in sorted(records, key=lambda record: record[0])]


def test_a_snooze_holds_from_its_place_in_the_log_on() -> None:
    log = story()
    told, _ = folded(log)
    assert told == [("feature-lost", "firing")]
    without, _ = folded([value for value in log if b'"snooze"' not in value])
    assert without == [("feature-lost", "firing")]
    ends = next(number for number, value in enumerate(log) if b'"until_ms":480000' in value)
    assert folded(log[:ends])[0] == []


@pytest.mark.parametrize("again", [0, 1, 5])
def test_a_crash_anywhere_and_records_read_again_change_neither_alerts_nor_the_book(again: int) -> None:
    log = story()
    for place in range(len(log)):
        assert folded(log, place, again) == folded(log), f"after record {place}"


@pytest.mark.parametrize(
    "value",
    [
        b'{"type":"snooze"}',
        b'{"type":"snooze","kind":"no-such-kind","subject":null,"until_ms":1,"by":"a","reason":"b"}',
        b'{"type":"snooze","kind":"volume-drop","subject":null,"until_ms":1,"by":"","reason":"b"}',
        b'{"type":"snooze","kind":"volume-drop","subject":null,"until_ms":1,"by":"a","reason":"%s"}' % (b"x" * 201),
        b'{"type":"nap"}',
        b'{"time_ms":1}',
    ],
)
def test_what_is_no_snooze_is_told_to_be_none_and_changes_nothing(value: bytes) -> None:
    fold = fold_of(dict.fromkeys((WATCH, ALERTS, MINUTES)))
    before = fold.book.state()
    with pytest.raises(msgspec.MsgspecError):
        fold.step(value)
    assert fold.book.state() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("snooze", "volume-drop", "--for", "2h"),
        ("snooze", "volume-drop", "--reason", "x"),
        ("snooze", "volume-drop", "--for", "0h", "--reason", "x"),
        ("snooze", "volume-drop", "--for", "91d", "--reason", "x"),
        ("snooze", "volume-drop", "--for", "soon", "--reason", "x"),
        ("snooze", "volume-drop", "--for", "2h", "--reason", " "),
        ("snooze", "volume-drop", "--for", "2h", "--reason", "x" * 201),
        ("snooze", "volume", "--for", "2h", "--reason", "x"),
        ("snooze", "feature-drift:", "--for", "2h", "--reason", "x"),
        ("unsnooze", "volume"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    assert assay("alerts", *arguments).code == 2


def test_nobody_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.admin.TIMEOUT_S", 1.0)
    monkeypatch.setattr("streams.topic_reader.ANSWER_S", 1.0)
    fails_with(assay("alerts", "list", "--bootstrap", "127.0.0.1:1"), "127.0.0.1:1")


def test_the_newest_book_is_found_however_far_back_it_is(broker: RunningBroker, topic: str) -> None:
    states, older, newer = f"{topic}warm.watch-states", AlertBook(), AlertBook()
    older.observe(DRIFT, 1)
    newer.observe(DRIFT, 2)
    with TopicReader(broker.client_settings) as reader:
        assert stored_book(reader, states) is None
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
        for key, value in (
            (ALERTS, older.state()),
            (ALERTS, newer.state()),
            *((MINUTES, b"%d" % n) for n in range(40)),
        ):
            producer.produce(states, value, key, 0)
        producer.flush()
        for look in (1, 2, 7, 40, 41, 42, 500):
            found = stored_book(reader, states, look)
            assert found is not None
            assert found.state() == newer.state()


def listed(bootstrap: str) -> list[dict[str, str]]:
    finished = assay("alerts", "list", "--bootstrap", bootstrap, "--json")
    assert finished.code == 0, finished.errors
    return [json.loads(line) for line in finished.output.splitlines()]


def wait_until_listed(bootstrap: str, state: str) -> dict[str, str]:
    """The row of the lost feature in a state; what else is found depends on the hour at which the test runs."""
    deadline_s = time.monotonic() + 60
    while True:
        rows = listed(bootstrap)
        found = [row for row in rows if row["alert"] == "feature-lost"]
        if [row["state"] for row in found] == [state]:
            return found[0]
        assert time.monotonic() < deadline_s, rows
        time.sleep(0.5)


def test_an_alert_is_snoozed_listed_and_told_when_the_snooze_ends(
    broker: RunningBroker, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = broker.bootstrap_servers
    monkeypatch.setenv("ASSAY_TOPICS_PREFIX", topic)
    nothing = assay("alerts", "list", "--bootstrap", servers)
    assert (nothing.code, nothing.output) == (0, b"")
    assert "nothing was judged yet" in nothing.errors
    fails_with(assay("alerts", "unsnooze", "feature-lost", "--bootstrap", servers), "feature-lost", "alerts list")
    said = ("--for", "2h", "--reason", "the feed is being mended", "--by", "ana", "--bootstrap", servers)
    snoozed = assay("alerts", "snooze", f"feature-lost:{FEATURE}", *said)
    assert snoozed.code == 0, snoozed.errors
    assert f"feature-lost:{FEATURE} is snoozed until 20" in snoozed.output.decode()
    send(servers, f"{topic}telemetry", summaries(just_now_ms()))
    with warm_worker(warm_environment(servers, topic, tmp_path), tmp_path / "log") as process:
        row = wait_until_listed(servers, "snoozed")
        assert (row["subject"], row["by"], row["reason"]) == (FEATURE, "ana", "the feed is being mended")
        table = assay("alerts", "list", "--bootstrap", servers)
        assert b"the feed is being mended" in table.output
        assert [one for one in alerts_in(servers, topic, 1, timeout_s=2) if one.alert == "feature-lost"] == []
        ended = assay("alerts", "unsnooze", f"feature-lost:{FEATURE}", "--bootstrap", servers, "--json")
        assert decode_telemetry(ended.output).reason == "ended"  # type: ignore[union-attr]
        assert wait_until_listed(servers, "firing")["by"] is None
        # ticks of the worker itself judge the next minute, and with it what is told now
        deadline_s, told = time.monotonic() + 150, list[Alert]()
        while not told and time.monotonic() < deadline_s:
            told = [one for one in alerts_in(servers, topic, 1, timeout_s=2) if one.alert == "feature-lost"]
        assert stop(process) == 0, (tmp_path / "log").read_text()
    assert [(alert.status, alert.subjects) for alert in told] == [("firing", [FEATURE])]
