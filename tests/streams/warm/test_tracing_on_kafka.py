"""Trace context in, out and across on a real broker: event to verdict, label to outcome, telemetry to alert."""

from collections.abc import Sequence
from pathlib import Path

import orjson
from confluent_kafka import Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from streams.broker import RunningBroker
from streams.trace_context import TraceContext, context_of
from tests.streams.logs import START_MS, TRACE, keyed, payment
from tests.streams.test_tracing import collector
from tests.streams.warm.test_alerts_on_kafka import just_now_ms, send, summaries
from tests.streams.warm.workers import label, warm_environment, warm_worker
from tests.streams.workers import produce, read_all, stop, worker

OF_LABEL = b"00-11111111111111111111111111111111-2222222222222222-01"


def context_in(message: Message) -> TraceContext | None:
    return context_of(message.headers() or ())


def spans_of(received: Sequence[ExportTraceServiceRequest], name: str) -> list[Span]:
    scopes = (scope for request in received for resource in request.resource_spans for scope in resource.scope_spans)
    return [span for scope in scopes for span in scope.spans if span.name == name]


def trace_of(header: bytes) -> bytes:
    return bytes.fromhex(header.decode().split("-")[1])


def test_context_goes_in_out_and_across(broker: RunningBroker, topic: str, tmp_path: Path) -> None:
    servers = broker.bootstrap_servers
    ((account, value, partition),) = keyed([payment(1, "a1", START_MS)])
    event_id = orjson.loads(value)["event_id"]
    key, label_value, _ = label(1, "a1", partition)
    label_value = orjson.dumps({**orjson.loads(label_value), "judged_event_id": event_id})
    with collector() as (url, received):
        on = {"ASSAY_TRACING_ENDPOINT": url, "ASSAY_TRACING_SAMPLE_RATIO": "1"}
        settings = warm_environment(servers, topic, tmp_path, **on)
        with worker(settings, tmp_path / "engine") as engine, warm_worker(settings, tmp_path / "warm.log") as warm:
            produce(servers, f"{topic}events", [(account, value, partition)], traceparent=TRACE[1])
            (verdict,) = read_all(servers, [f"{topic}verdicts"], 2, 1)
            produce(servers, f"{topic}labels", [(key, label_value, partition)], traceparent=OF_LABEL)
            (outcome,) = read_all(servers, [f"{topic}outcomes"], 2, 1)
            _, put_in = sorted(read_all(servers, [f"{topic}events"], 2, 2), key=lambda message: message.offset())
            send(servers, f"{topic}telemetry", summaries(just_now_ms()))
            alert, *_ = read_all(servers, [f"{topic}alerts"], 1, 1)
            assert stop(warm) == 0, (tmp_path / "warm.log").read_text()
            assert stop(engine) == 0, (tmp_path / "engine").read_text()
    assert context_in(verdict) == context_of([TRACE])
    assert context_in(put_in) == context_in(outcome) == context_of([("traceparent", OF_LABEL)])
    (of_label,) = spans_of(received, f"process {topic}labels")
    assert (of_label.trace_id, of_label.parent_span_id) == (trace_of(OF_LABEL), b"\x22" * 8)
    linked = {link.trace_id for span in spans_of(received, f"process {topic}events") for link in span.links}
    assert linked == {trace_of(TRACE[1]), trace_of(OF_LABEL)}
    told = context_in(alert)
    assert told is not None
    assert told.parent in {int.from_bytes(span.span_id) for span in spans_of(received, f"process {topic}telemetry")}
