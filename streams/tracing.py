"""Spans for OpenTelemetry, or none: the worker and the warm path say what they do, and what is off costs nothing.

Nothing here imports OpenTelemetry; `streams/open_telemetry.py` does, and only where `tracing.endpoint` is set. What is
decided never depends on it: a span is made beside a batch and read by nobody.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol, Self

from prometheus_client import Counter

from streams.addresses import check_url
from streams.config import Config
from streams.log import Headers, LogRecord


class Span(Protocol):
    """Something under way."""

    @property
    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """Its trace context, for what it writes; None: none."""
        ...

    def publishing(self, messages: int, /) -> None:
        """The batch is folded; it is about to be published as so many messages."""
        ...


class Tracing(Protocol):
    """Makes spans."""

    def batch(self, topic: str, received: Mapping[int, Sequence[LogRecord]], /) -> AbstractContextManager[Span]:
        """A batch of `topic`, by partition; it ends with the block."""
        ...

    def record(self, topic: str, partition: int, offset: int, headers: Headers, /) -> AbstractContextManager[Span]:
        """One record that the warm path works on."""
        ...

    def close(self) -> None:
        """Send what waits, for a moment at most."""
        ...


class _Untraced:
    """No tracing, and no span either: one object for all of them."""

    headers: Final = None

    def batch(self, *_: object) -> Self:
        """See `Tracing`."""
        return self

    def record(self, *_: object) -> Self:
        """See `Tracing`."""
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def publishing(self, *_: object) -> None:
        """See `Span`."""

    def close(self) -> None:
        """See `Tracing`."""


UNTRACED: Final[Tracing] = _Untraced()


def tracing_of(config: Config, group: str, instance: str, dropped: Counter) -> Tracing:
    """Tracing as the settings want it.

    Args:
        config: settings in force.
        group: consumer group, also the name of the service.
        instance: which worker of the group.
        dropped: counts spans that were not sent, by reason.

    Raises:
        AssayError: the address of the collector is not allowed.
    """
    endpoint = config.text("tracing.endpoint")
    if not endpoint:
        return UNTRACED
    check_url(
        endpoint,
        "tracing.endpoint",
        "the variable OTEL_EXPORTER_OTLP_HEADERS",
        insecure=config.flag("tracing.insecure"),
    )
    from streams.open_telemetry import OpenTelemetry, otlp_exporter  # takes a moment, and only this needs it

    return OpenTelemetry(otlp_exporter(endpoint), config.number("tracing.sample_ratio"), group, instance, dropped)
