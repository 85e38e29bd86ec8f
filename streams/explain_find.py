"""Finds an event in the log by its id. Nothing is indexed: the log is read once, and only likely records are parsed."""

import json
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from streams.find_verdict import Progress
from streams.history import History
from streams.log_range import PartitionRange


class Found(NamedTuple):
    """A record that names the event id as its own.

    Attributes:
        partition: of the log.
        offset: of the record.
        type: what it says it is; empty if it does not say.
    """

    partition: int
    offset: int
    type: str


class _Named(msgspec.Struct):
    event_id: str
    type: str = ""


_named = msgspec.json.Decoder(_Named).decode


def needles_of(event_id: str) -> list[bytes]:
    r"""How an id can stand in JSON: as it is, with what is not ASCII escaped, or with its slashes escaped.

    >>> needles_of("e1"), needles_of("é")
    ([b'e1'], [b'\xc3\xa9', b'\\u00e9'])
    >>> needles_of("a/b")
    [b'a/b', b'a\\/b']
    """
    forms = [json.dumps(event_id, ensure_ascii=False), json.dumps(event_id)]
    forms += [form.replace("/", r"\/") for form in forms]
    return [form[1:-1].encode() for form in dict.fromkeys(forms)]


def find_event(
    history: History, event_id: str, ranges: Iterable[PartitionRange], progress: Progress = lambda *_: None
) -> list[Found]:
    """Every record that is kept of `ranges` and whose own id is `event_id`: the event, and its repetitions.

    Raises:
        AssayError: see `History.read`.
    """
    needles = needles_of(event_id)
    ranges = [part._replace(start=max(part.start, history.bounds(part.partition).low)) for part in ranges]
    total = sum(end - start for _, start, end in ranges)
    found = []
    records_read = done = 0
    for partition, start, end in ranges:
        for records in history.read(partition, start, end):
            for record in records:
                value = record.value or b""
                if any(needle in value for needle in needles):
                    named = _name_in(value)
                    if named is not None and named.event_id == event_id:
                        found.append(Found(partition, record.offset, named.type))
            records_read += len(records)
            progress(records_read, done + records[-1].offset + 1 - start, total)
        done += end - start
    return found


def _name_in(value: bytes) -> _Named | None:
    try:
        return _named(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
