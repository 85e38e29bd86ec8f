"""From telemetry to alerts on a real broker: what is wrong is told once, also when the worker is killed."""

import time
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from features.records import Alert
from models.minutes import MINUTE_MS
from models.summary import Summary
from streams.broker import RunningBroker
from streams.telemetry import summary_json
from tests.models.watched_traffic import Traffic
from tests.streams.small_model import small_model
from tests.streams.warm.workers import warm_environment, warm_worker
from tests.streams.workers import read_all, stop

SOUND_MINUTES, TROUBLE_MINUTES = 5, 6
FEATURE = "account_seconds_since_last_payment"


def summaries(first_ms: int) -> Iterator[Summary]:
    """Traffic of the small model: some sound minutes, then some in which a feature is always missing."""
    model = small_model()
    traffic = Traffic(seed=1)
    traffic.reference = model.artefact.reference
    for number in range(SOUND_MINUTES + TROUBLE_MINUTES):
        minute_ms = first_ms + number * MINUTE_MS
        if number == SOUND_MINUTES:
            traffic.nulls = {FEATURE: 1.0}
        counts = traffic.minute(minute_ms).counts
        yield Summary(partition=0, number=number, time_ms=minute_ms, model=model.id[:16], counts=counts)


def send(bootstrap: str, topic: str, records: Iterator[Summary]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    for summary in records:
        producer.produce(topic, summary_json(summary), b"0", 0)
    producer.flush()


def alerts_in(bootstrap: str, prefix: str, expected: int, timeout_s: float = 60) -> list[Alert]:
    """Those of the trouble."""
    found = read_all(bootstrap, [f"{prefix}alerts"], 1, expected, timeout_s)
    return of_the_trouble(message.value() or b"" for message in found)


def of_the_trouble(bodies: Iterable[bytes]) -> list[Alert]:
    """At busy hours these minutes have rows enough to tell that their scores are not the small model's either."""
    alerts = [msgspec.json.decode(body, type=Alert) for body in bodies]
    return [alert for alert in alerts if alert.alert != "score-drift"]


def wait_for_its_tick(bootstrap: str, prefix: str) -> None:
    """Until a worker has judged everything that is there by now, and a tick that it put in itself."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"{prefix}warm"})
    place = TopicPartition(f"{prefix}telemetry", 0)
    _, end = consumer.get_watermark_offsets(place, timeout=20)
    deadline_s = time.monotonic() + 60
    while consumer.committed([place], timeout=20)[0].offset <= end:
        assert time.monotonic() < deadline_s, "the worker commits nothing of its own"
        time.sleep(0.1)
    consumer.close()


def just_now_ms() -> int:
    """A minute from which the whole of the trouble is over by now."""
    minutes = SOUND_MINUTES + TROUBLE_MINUTES + 2
    return int(time.time() * 1000) // MINUTE_MS * MINUTE_MS - minutes * MINUTE_MS


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[bytes]]]:
    """An address on this machine, and what was posted to it."""
    posted: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", posted
        server.shutdown()


def test_a_feature_that_is_lost_is_told_once_also_after_kill_9(
    broker: RunningBroker, topic: str, tmp_path: Path, webhook: tuple[str, list[bytes]]
) -> None:
    url, posted = webhook
    settings = warm_environment(broker.bootstrap_servers, topic, tmp_path, ASSAY_ALERTS_WEBHOOK=url)
    send(broker.bootstrap_servers, f"{topic}telemetry", summaries(just_now_ms()))
    with warm_worker(settings, tmp_path / "log") as process:
        (alert,) = alerts_in(broker.bootstrap_servers, topic, 1)
        assert process.poll() is None, (tmp_path / "log").read_text()
        deadline_s = time.monotonic() + 30
        while not of_the_trouble(posted) and time.monotonic() < deadline_s:  # it is posted beside the event loop
            time.sleep(0.05)
        assert of_the_trouble(posted) == [alert]
        process.kill()
    assert (alert.alert, alert.status, alert.severity) == ("feature-lost", "firing", "page")
    assert alert.subjects == [FEATURE]
    with warm_worker(settings, tmp_path / "log") as process:
        wait_for_its_tick(broker.bootstrap_servers, topic)
        again = alerts_in(broker.bootstrap_servers, topic, 1)
        assert stop(process) == 0, (tmp_path / "log").read_text()
    assert again[0] == alert
    assert len({(one.alert, one.status, tuple(one.subjects)) for one in again}) == 1


def test_what_is_no_telemetry_is_passed_over(broker: RunningBroker, topic: str, tmp_path: Path) -> None:
    values = [b"{", b'{"type":"tick"}', b'{"type":"summary"}']
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for value in values:
        producer.produce(f"{topic}telemetry", value, b"0", 0)
    producer.flush()
    send(broker.bootstrap_servers, f"{topic}telemetry", summaries(just_now_ms()))
    with warm_worker(warm_environment(broker.bootstrap_servers, topic, tmp_path), tmp_path / "log") as process:
        assert alerts_in(broker.bootstrap_servers, topic, 1)[0].subjects == [FEATURE]
        assert stop(process) == 0, (tmp_path / "log").read_text()
    assert (tmp_path / "log").read_text().count("no telemetry") == len(values)
