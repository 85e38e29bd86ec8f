"""Trace context of a record: the header `traceparent` of W3C Trace Context, carried on and never trusted.

Whoever writes events can put anything into a header. What is not of the standard's form is taken for absent: neither
carried on, where its size could make a record too large for its topic, nor repeated in a log.

Source: W3C Recommendation "Trace Context", section 3.2.
"""

import re
from typing import Final, NamedTuple

from streams.log import Headers

TRACE_HEADER: Final = "traceparent"
"""Copied from an event to its verdict; it is never part of the bytes."""

_parts_of = re.compile(rb"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-([0-9a-f]{2})").fullmatch
"""Version, trace, parent, flags: hexadecimal in small letters; version ff and ids of zeros are none."""


class TraceContext(NamedTuple):
    """What was under way when a record was written.

    Attributes:
        trace: id of the trace, 128 bits.
        parent: id of the span in it, 64 bits.
        sampled: whether that span was recorded.
    """

    trace: int
    parent: int
    sampled: bool


def traces_of(headers: Headers) -> list[tuple[str, bytes | None]] | None:
    """The trace context among the headers of a record, as headers to write; None without a sound one.

    >>> sound = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    >>> traces_of([("a", b"1"), sound]) == [sound]
    True
    >>> traces_of([("traceparent", b"00-1-2-01")])
    """
    for header in headers:
        if header[0] == TRACE_HEADER and header[1] is not None and _parts_of(header[1]):
            return [header]
    return None


def context_of(headers: Headers) -> TraceContext | None:
    """The same, read.

    >>> context_of([("traceparent", b"00-000000000000000000000000000000ff-000000000000000a-01")])
    TraceContext(trace=255, parent=10, sampled=True)
    """
    for header in headers:
        if header[0] == TRACE_HEADER and header[1] is not None:
            parts = _parts_of(header[1])
            if parts:
                trace, parent, flags = (int(part, 16) for part in parts.groups())
                return TraceContext(trace, parent, bool(flags & 1))
    return None
