"""Spans of OpenTelemetry: made beside the work, sent by a thread, dropped and counted when nobody takes them.

The only place that imports OpenTelemetry. Names follow its semantic conventions for messaging: a span of a batch has
links to what the events were part of, a span of one record is a child of it. A span never holds a key, a value, or the
text of an error.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from typing import Final, Self

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)
from prometheus_client import Counter

from streams.log import Headers, LogRecord
from streams.trace_context import TRACE_HEADER, TraceContext, context_of

_log = logging.getLogger("assay.tracing")
MOST_LINKS: Final = 32
MOST_WAITING: Final = 2_048
"""Spans that wait to be sent; those that end while so many wait are dropped."""
_SEND_EVERY_MS: Final = 1_000
_MOST_AT_ONCE: Final = 512
_ANSWER_S: Final = 5.0
_LEAVE_S: Final = 2.0
_SYSTEM: Final = "messaging.system"
_DESTINATION: Final = "messaging.destination.name"
_PARTITION: Final = "messaging.destination.partition.id"
_OPERATION: Final = "messaging.operation.name"
_OPERATION_TYPE: Final = "messaging.operation.type"
_COUNT: Final = "messaging.batch.message_count"
_GROUP: Final = "messaging.consumer.group.name"
_OFFSET: Final = "messaging.kafka.offset"
_ERROR_TYPE: Final = "error.type"


def otlp_exporter(endpoint: str) -> SpanExporter:
    """Sends spans to a collector; what OpenTelemetry's own variables say of headers and certificates holds."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it says each failure; `_Told` says the first
    return OTLPSpanExporter(endpoint=endpoint, timeout=_ANSWER_S)


class OpenTelemetry:
    """A `Tracing`.

    Args:
        exporter: takes spans.
        sample_ratio: share of traces that begin here of which spans are made.
        group: consumer group, also the name of the service.
        instance: which worker of the group.
        dropped: counts spans that were not sent, by reason.
    """

    def __init__(
        self, exporter: SpanExporter, sample_ratio: float, group: str, instance: str, dropped: Counter
    ) -> None:
        resource = Resource.create({"service.name": group, "service.instance.id": instance})
        sampler = ParentBasedTraceIdRatio(sample_ratio)
        self._provider = TracerProvider(sampler, resource, shutdown_on_exit=False)
        self._told = _Told(exporter, dropped)
        self._provider.add_span_processor(_Bounded(self._told, dropped))
        self._tracer = self._provider.get_tracer("assay")
        self._group = group

    def batch(self, topic: str, received: Mapping[int, Sequence[LogRecord]]) -> "_BatchSpan":
        """See `Tracing`."""
        return _BatchSpan(self._tracer, topic, self._group, received)

    def record(self, topic: str, partition: int, offset: int, headers: Headers) -> "_RecordSpan":
        """See `Tracing`."""
        attributes: dict[str, str | int] = {
            _PARTITION: str(partition),
            _OFFSET: offset,
            **_consumed(topic, self._group),
        }
        before = context_of(headers)
        parent = Context() if before is None else set_span_in_context(NonRecordingSpan(_remote(before)), Context())
        return _RecordSpan(self._tracer.start_span(f"process {topic}", parent, SpanKind.CONSUMER, attributes))

    def close(self) -> None:
        """See `Tracing`; the collector is given two seconds, or four if it stands still."""
        closing = threading.Thread(target=self._provider.shutdown, name="assay-tracing-end", daemon=True)
        closing.start()
        closing.join(_LEAVE_S)
        if closing.is_alive():
            self._told.shutdown()  # ends a wait between two tries
            closing.join(_LEAVE_S)


class _RecordSpan:
    """One record; ends with the block."""

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """See `streams.tracing.Span`."""
        context = self._span.get_span_context()
        if not self._span.is_recording():
            return None
        value = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
        return [(TRACE_HEADER, value.encode())]

    def publishing(self, *_: object) -> None:
        """See `streams.tracing.Span`; a record is no batch."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _end(self._span, kind)


class _BatchSpan:
    """A batch with its two parts, one after the other: fold, then publish if there is something to commit."""

    def __init__(self, tracer: Tracer, topic: str, group: str, received: Mapping[int, Sequence[LogRecord]]) -> None:
        self._tracer = tracer
        self._span = tracer.start_span(f"process {topic}", Context(), SpanKind.CONSUMER, _consumed(topic, group))
        self._within = set_span_in_context(self._span, Context())
        if self._span.is_recording():
            self._span.set_attribute(_COUNT, sum(len(records) for records in received.values()))
            if len(received) == 1:
                self._span.set_attribute(_PARTITION, str(next(iter(received))))
            for context in _sampled_in(received):
                self._span.add_link(context)
        self._part = tracer.start_span("fold", self._within)

    headers: Final = None
    """What a batch writes carries on the context of its events, not that of the batch."""

    def publishing(self, messages: int) -> None:
        """See `streams.tracing.Span`."""
        self._part.end()
        attributes: dict[str, str | int] = {
            _SYSTEM: "kafka",
            _OPERATION: "publish",
            _OPERATION_TYPE: "send",
            _COUNT: messages,
        }
        self._part = self._tracer.start_span("publish", self._within, SpanKind.PRODUCER, attributes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _end(self._part, kind)
        _end(self._span, kind)


class _Told(SpanExporter):
    """Counts what could not be sent, and says it when it begins and when it is over."""

    def __init__(self, exporter: SpanExporter, dropped: Counter) -> None:
        self._exporter = exporter
        self._dropped = dropped.labels("not_sent")
        self._failing = False
        self.taken = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send `spans`; the outcome."""
        self.taken += len(spans)
        try:
            result = self._exporter.export(spans)
        except Exception:
            result = SpanExportResult.FAILURE
        failing = result is not SpanExportResult.SUCCESS
        if failing:
            self._dropped.inc(len(spans))
        if failing != self._failing:
            self._failing = failing
            if failing:
                _log.warning("spans cannot be sent to tracing.endpoint: they are dropped, the work goes on")
            else:
                _log.info("spans are sent again")
        return result

    def shutdown(self) -> None:
        """Send nothing more."""
        self._exporter.shutdown()


class _Bounded(BatchSpanProcessor):
    """The SDK's queue and thread; a full queue drops what comes, and counts it."""

    def __init__(self, exporter: _Told, dropped: Counter) -> None:
        super().__init__(exporter, MOST_WAITING, _SEND_EVERY_MS, _MOST_AT_ONCE)
        self._told = exporter
        self._dropped = dropped.labels("queue_full")
        self._queued = 0

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span that has ended; spans end in one thread."""
        if self._queued - self._told.taken >= MOST_WAITING:
            self._dropped.inc()
            return
        self._queued += 1
        super().on_end(span)


def _consumed(topic: str, group: str) -> dict[str, str]:
    return {
        _SYSTEM: "kafka",
        _OPERATION: "process",
        _OPERATION_TYPE: "process",
        _DESTINATION: topic,
        _GROUP: group,
    }


def _remote(context: TraceContext) -> SpanContext:
    return SpanContext(context.trace, context.parent, is_remote=True, trace_flags=TraceFlags(context.sampled))


def _sampled_in(received: Mapping[int, Sequence[LogRecord]]) -> list[SpanContext]:
    """Contexts of the first events whose own spans are recorded."""
    records = chain.from_iterable(received.values())
    contexts = (context_of(record.headers) for record in records if record.headers)
    return [_remote(one) for one in islice((one for one in contexts if one is not None and one.sampled), MOST_LINKS)]


def _end(span: Span, kind: type[BaseException] | None) -> None:
    if kind is not None:
        span.set_attribute(_ERROR_TYPE, kind.__name__)
        span.set_status(Status(StatusCode.ERROR))
    span.end()
