"""Spans of batches and records: what they say, that verdicts do not depend on them, and what a dead collector costs."""

import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry, Counter

from features.errors import AssayError
from streams import open_telemetry
from streams import tracing as tracing_module
from streams.config import load_config
from streams.log import LogRecord
from streams.metrics import WorkerMetrics
from streams.open_telemetry import MOST_LINKS, MOST_WAITING, OpenTelemetry
from streams.publisher import AbortedError, Message
from streams.tracing import UNTRACED, Tracing, tracing_of
from streams.worker import Worker
from tests.memory_broker import MemoryBroker
from tests.memory_log import MemoryEventsLog, MemoryFlushingPublisher
from tests.streams.logs import START_MS, TRACE, mixed_log, payment
from tests.streams.small_model import small_model
from tests.streams.test_checkpoint_turns import PARTITIONS, TARGETS, States
from tests.streams.test_engine import open_small


def dropped_counter() -> Counter:
    return Counter("spans_dropped", "Spans that were not sent", ["reason"], registry=CollectorRegistry())


def count_of(counter: Counter, reason: str) -> float:
    value: float = counter.labels(reason)._value.get()
    return value


def tracing_to(exporter: SpanExporter, ratio: float = 1.0) -> OpenTelemetry:
    return OpenTelemetry(exporter, ratio, "engine", "0", dropped_counter())


def traced(number: int, sampled: bool = True) -> tuple[str, bytes]:
    return "traceparent", b"00-%032x-%016x-%02x" % (number + 1, number + 1, sampled)


def worked_on(
    values: Sequence[bytes], tracing: Tracing, headers: list[tuple[str, bytes | None]] | None = None
) -> list[Message]:
    """What a worker that makes spans publishes."""
    broker = MemoryBroker(START_MS / 1000)
    for topic in TARGETS:
        broker.create(topic, PARTITIONS)
    for value in values:
        broker.append(Message(TARGETS.source, 0, None, value, headers), timestamp_ms=START_MS + 90 * 86_400_000)
    log = MemoryEventsLog(broker, TARGETS.source, broker.group("engine", TARGETS.source, 1e9))
    publisher = Kept(broker, log)
    settings = {"topics.prefix": "t.", "engine.batch_events": 40, "security.trust_internal": True}
    config = load_config(environment={}, overrides={**settings, "engine.bad_share": 1.0})
    worker = Worker(config, small_model(), open_small, log, publisher, States(broker), lambda: broker.now_s)
    worker.tracing = tracing
    worker.join()
    while not publisher.messages or publisher.messages[-1].topic != "end":
        before = len(publisher.messages)
        worker.turn()
        if len(publisher.messages) == before:
            publisher.messages.append(Message("end", 0, None, None, None))
    worker.close()
    return publisher.messages[:-1]


class Kept(MemoryFlushingPublisher):
    """Keeps what it publishes."""

    def __init__(self, broker: MemoryBroker, log: MemoryEventsLog) -> None:
        super().__init__(broker, log)
        self.messages: list[Message] = []

    def publish(self, messages: Sequence[Message], offsets: dict[int, int]) -> None:  # type: ignore[override]
        super().publish(messages, offsets)
        self.messages += messages


def test_a_batch_is_a_span_with_its_two_parts_and_says_where_its_events_came_from() -> None:
    exporter = InMemorySpanExporter()
    tracing = tracing_to(exporter)
    worked_on([payment(number, "a1", START_MS + number) for number in range(5)], tracing, [TRACE])
    tracing.close()
    fold, publish, batch = exporter.get_finished_spans()
    assert [span.name for span in (fold, publish, batch)] == ["fold", "publish", f"process {TARGETS.source}"]
    assert batch.parent is None
    assert batch.kind is SpanKind.CONSUMER
    assert {span.parent.span_id for span in (fold, publish) if span.parent} == {batch.context.span_id}
    assert batch.attributes == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": TARGETS.source,
        "messaging.destination.partition.id": "0",
        "messaging.consumer.group.name": "engine",
        "messaging.batch.message_count": 5,
    }
    assert publish.attributes is not None
    assert publish.attributes["messaging.operation.type"] == "send"
    assert {f"{link.context.trace_id:032x}" for link in batch.links} == {TRACE[1].decode().split("-")[1]}
    assert {f"{link.context.span_id:016x}" for link in batch.links} == {TRACE[1].decode().split("-")[2]}
    assert batch.resource.attributes["service.name"] == "engine"
    assert fold.start_time is not None
    assert fold.end_time is not None
    assert publish.start_time is not None
    assert fold.end_time <= publish.start_time


def test_links_are_of_sampled_events_and_no_more_than_a_bound() -> None:
    exporter = InMemorySpanExporter()
    tracing = tracing_to(exporter)
    records = [LogRecord(number, b"", headers=[traced(number, number % 2 == 0)]) for number in range(4 * MOST_LINKS)]
    records += [LogRecord(0, b"", headers=[("traceparent", b"00-1-2-01")])]
    with tracing.batch("events", {3: records[:3] + records[-1:]}), tracing.batch("events", {3: records, 4: records}):
        pass
    tracing.close()
    few, many = sorted(
        (span for span in exporter.get_finished_spans() if span.name != "fold"), key=lambda s: len(s.links)
    )
    assert [link.context.trace_id for link in few.links] == [1, 3]
    assert [link.context.trace_id for link in many.links] == [2 * number + 1 for number in range(MOST_LINKS)]
    assert many.attributes is not None
    assert "messaging.destination.partition.id" not in many.attributes


def test_a_batch_that_is_aborted_says_so_without_the_text_of_the_error() -> None:
    exporter = InMemorySpanExporter()
    tracing = tracing_to(exporter)
    with pytest.raises(AbortedError), tracing.batch("events", {0: [LogRecord(0, b"")]}) as span:
        span.publishing(2)
        raise AbortedError("jo@example.org")
    tracing.close()
    _, publish, batch = exporter.get_finished_spans()
    for span_of_error in (publish, batch):
        assert span_of_error.status.status_code is StatusCode.ERROR
        assert span_of_error.attributes is not None
        assert span_of_error.attributes["error.type"] == "AbortedError"
        assert "example.org" not in span_of_error.to_json()


def test_a_record_is_part_of_the_trace_it_came_with_and_hands_its_own_context_on() -> None:
    exporter = InMemorySpanExporter()
    tracing = tracing_to(exporter, ratio=0.0)
    with tracing.record("labels", 1, 7, [traced(0xABC)]) as span:
        assert span.headers is not None
        ((_, handed_on),) = span.headers
    with tracing.record("labels", 1, 8, [("traceparent", b"x")]) as nothing, tracing.record("labels", 1, 9, ()) as new:
        assert nothing.headers is None
        assert new.headers is None
    with tracing.record("labels", 1, 9, [traced(0xABC, sampled=False)]) as unsampled:
        assert unsampled.headers is None
    tracing.close()
    (found,) = exporter.get_finished_spans()
    assert found.parent is not None
    assert (found.parent.trace_id, found.parent.span_id, found.parent.is_remote) == (0xABD, 0xABD, True)
    assert handed_on == b"00-%032x-%016x-01" % (0xABD, found.context.span_id)
    assert found.attributes is not None
    assert found.attributes["messaging.kafka.offset"] == 7


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
def test_what_is_published_does_not_depend_on_tracing(ratio: float) -> None:
    values, tracing = mixed_log(300, seed=5), tracing_to(InMemorySpanExporter(), ratio)
    assert worked_on(values, tracing, [TRACE]) == worked_on(values, UNTRACED, [TRACE]) != []
    tracing.close()


def test_tracing_that_is_off_imports_nothing_of_it() -> None:
    script = (
        "import sys, streams.cli, streams.kafka_worker, streams.warm.worker, streams.commands.run\n"
        "from streams.config import load_config\n"
        "from streams.metrics import WorkerMetrics\n"
        "from streams.tracing import UNTRACED, tracing_of\n"
        "assert tracing_of(load_config(environment={}), 'g', '0', WorkerMetrics().spans_dropped) is UNTRACED\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'google.protobuf', 'requests'))])\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_tracing_that_is_off_allocates_nothing() -> None:
    received = {0: [LogRecord(number, b"", headers=[traced(number)]) for number in range(100)]}

    def kept_by(tracing: Tracing) -> int:
        """Blocks of memory that lines of the two modules hold after 100 batches; other threads have no part in it."""
        kept = []
        lines = [tracemalloc.Filter(True, module.__file__) for module in (open_telemetry, tracing_module)]
        tracemalloc.start()
        try:
            for _ in range(100):
                with tracing.batch("events", received) as span:
                    span.publishing(1)
                    kept.append(span)
            held = tracemalloc.take_snapshot().filter_traces(lines)
        finally:
            tracemalloc.stop()
        return sum(each.count for each in held.statistics("filename"))

    assert kept_by(UNTRACED) == 0
    tracing = tracing_to(InMemorySpanExporter())
    assert kept_by(tracing) > 100
    tracing.close()


class Blocked(SpanExporter):
    """A collector that does not answer."""

    def __init__(self) -> None:
        self.asked, self.released = threading.Event(), threading.Event()
        self.spans = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked.set()
        self.released.wait()
        self.spans += len(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None: ...


def test_a_collector_that_does_not_answer_holds_up_nothing_and_what_is_dropped_is_counted() -> None:
    exporter, dropped = Blocked(), dropped_counter()
    tracing = OpenTelemetry(exporter, 1.0, "warm", "0", dropped)
    made = 3 * MOST_WAITING
    for number in range(made):
        with tracing.record("labels", 0, number, ()):
            pass
    assert exporter.asked.wait(60)
    lost = count_of(dropped, "queue_full")
    assert 0 < lost < made
    exporter.released.set()
    tracing.close()
    assert exporter.spans == made - lost
    assert count_of(dropped, "not_sent") == 0


@contextmanager
def collector(status: int = 200) -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """A receiver of OTLP over HTTP on this machine, and what it was sent."""
    received: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf":
                received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", received
        server.shutdown()


def spans_in(received: Sequence[ExportTraceServiceRequest]) -> list[tuple[str, str]]:
    """Service and name of each span."""
    found = []
    for request in received:
        for of_resource in request.resource_spans:
            (service,) = [a.value.string_value for a in of_resource.resource.attributes if a.key == "service.name"]
            found += [(service, span.name) for scope in of_resource.scope_spans for span in scope.spans]
    return found


def test_spans_are_sent_to_a_collector() -> None:
    with collector() as (url, received):
        config = load_config(environment={}, overrides={"tracing.endpoint": url, "tracing.sample_ratio": 1.0})
        dropped = WorkerMetrics().spans_dropped
        tracing = tracing_of(config, "engine", "0", dropped)
        worked_on([payment(1, "a1", START_MS)], tracing)
        tracing.close()
    assert spans_in(received) == [("engine", "fold"), ("engine", "publish"), ("engine", "process t.events")]
    assert count_of(dropped, "not_sent") == 0


@pytest.mark.parametrize("gone", [True, False], ids=["nobody listens", "it refuses"])
def test_a_collector_that_is_not_well_is_told_once_and_spans_are_counted(
    gone: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with collector(status=400) as (url, _):
        if gone:
            url = "http://127.0.0.1:1/v1/traces"
        config = load_config(environment={}, overrides={"tracing.endpoint": url, "tracing.sample_ratio": 1.0})
        dropped = WorkerMetrics().spans_dropped
        tracing = tracing_of(config, "engine", "0", dropped)
        messages = worked_on([payment(1, "a1", START_MS)], tracing)
        tracing.close()
    assert [message.topic for message in messages if message.topic == TARGETS.verdicts]
    assert count_of(dropped, "not_sent") == 3
    assert [record.getMessage() for record in caplog.records if "spans" in record.getMessage()] == [
        "spans cannot be sent to tracing.endpoint: they are dropped, the work goes on"
    ]


@pytest.mark.parametrize("url", ["http://collector:4318/v1/traces", "https://user:secret@collector/", "collector"])
def test_an_address_that_is_not_protected_or_holds_a_secret_is_refused(url: str) -> None:
    config = load_config(environment={}, overrides={"tracing.endpoint": url})
    with pytest.raises(AssayError, match=r"tracing\.endpoint") as refused:
        tracing_of(config, "engine", "0", WorkerMetrics().spans_dropped)
    assert "secret@" not in str(refused.value)
    if url.startswith("http://"):
        allowed = load_config(environment={}, overrides={"tracing.endpoint": url, "tracing.insecure": True})
        tracing_of(allowed, "engine", "0", WorkerMetrics().spans_dropped).close()
