"""Labels take their place in a log of events: each before the first event that is not older than its `known_at_ms`.

That is the order in which a live log would have taken them, as far as a file can tell. What is not a label keeps its
bytes and goes first, where the fold sets it aside.
"""

from collections.abc import Iterable, Iterator

import msgspec

from features.events import Label, LabelIntake, as_log_record


class _Clock(msgspec.Struct):
    time_ms: int


_decode_clock = msgspec.json.Decoder(_Clock).decode
_decode_intake = msgspec.json.Decoder(LabelIntake).decode
_decode_label = msgspec.json.Decoder(Label).decode
_encode = msgspec.json.Encoder().encode
_NOT_A_LABEL_MS = -1
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def merge_labels(events: Iterable[bytes], labels: Iterable[bytes]) -> Iterator[bytes]:
    """The merged log.

    Args:
        events: in order of arrival.
        labels: in any order, as the intake sends them or as records of the log; held in memory.

    >>> label = b'{"judged_event_id":"p1","account_id":"a1","label":"fraud","known_at_ms":15,"source":"analyst"}'
    >>> merged = merge_labels([b'{"time_ms":10}', b'{"time_ms":20}'], [label])
    >>> [b'"label"' in record for record in merged]
    [False, True, False]
    """
    waiting = sorted((_prepared(label) for label in labels), key=lambda item: item[0])
    place = 0
    for event in events:
        if place < len(waiting):
            time_ms = _time_ms(event)
            while place < len(waiting) and waiting[place][0] <= time_ms:
                yield waiting[place][1]
                place += 1
        yield event
    for _, label in waiting[place:]:
        yield label


def _time_ms(event: bytes) -> int:
    try:
        return _decode_clock(event).time_ms
    except _NOT_JSON:
        return _NOT_A_LABEL_MS


def _prepared(label: bytes) -> tuple[int, bytes]:
    try:
        return _decode_label(label).known_at_ms, label
    except _NOT_JSON:
        pass
    try:
        intake = _decode_intake(label)
    except _NOT_JSON:
        return _NOT_A_LABEL_MS, label
    return intake.known_at_ms, _encode(as_log_record(intake))
