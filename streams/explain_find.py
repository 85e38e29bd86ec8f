"""Finds an event in the log by its id. Nothing is indexed: the log is read once, and only likely records are parsed."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from features.errors import AssayError
from streams.dead_letter_view import shown_key
from streams.find_verdict import Progress
from streams.history import History
from streams.log_range import PartitionRange


class Found(NamedTuple):
    """A record that names the event id as its own.

    Attributes:
        partition: of the log.
        offset: of the record.
        type: what it says it is; empty if it does not say.
        account_id: the account that it names; empty if it names none.
    """

    partition: int
    offset: int
    type: str
    account_id: str = ""

    @property
    def place(self) -> str:
        """Where it is, as commands take it: ``partition:offset``."""
        return f"{self.partition}:{self.offset}"


class _Named(msgspec.Struct):
    event_id: str
    type: str = ""
    account_id: Any = ""  # a record that was refused for what stands here is found too


_named = msgspec.json.Decoder(_Named).decode
_MOST_ACCOUNTS = 5


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
                        account_id = named.account_id if isinstance(named.account_id, str) else ""
                        found.append(Found(partition, record.offset, named.type, account_id))
            records_read += len(records)
            progress(records_read, done + records[-1].offset + 1 - start, total)
        done += end - start
    return found


def of_account(event_id: str, found: Sequence[Found], account_id: str | None) -> list[Found]:
    """`found` with the records of one account first: of the named one, else of the only one that there is.

    An id names an event within its account. Where several accounts have it nobody but the asker knows which is meant.
    A record that names no account (a marker, or one that was refused) raises no doubt.

    Raises:
        AssayError: several accounts have the id and none was named, or the named one has not.
    """
    first_of: dict[str, Found] = {}
    for record in found:
        if record.account_id:
            first_of.setdefault(record.account_id, record)
    if account_id is None:
        if len(first_of) <= 1:
            return list(found)
        raise AssayError(
            f"the event id {event_id!r} was given to {len(first_of)} accounts, {_listed(first_of)}: say which is meant "
            "with --account, or give the place instead of the id"
        )
    if account_id not in first_of:
        there = f"it was given to {_listed(first_of)}" if first_of else "it stands where no account is named"
        raise AssayError(
            f"--account: expected an account that has the event id {event_id!r} in the part of the log that was "
            f"searched; {there}"
        )
    return sorted(found, key=lambda record: record.account_id != account_id)


def _listed(first_of: dict[str, Found]) -> str:
    """Accounts, each with the place of its first record; whatever looks like a card number is masked."""
    shown = [f"{shown_key(account_id.encode())} (at {record.place})" for account_id, record in first_of.items()]
    more = len(shown) - _MOST_ACCOUNTS
    return ", ".join(shown) if more <= 0 else f"{', '.join(shown[:_MOST_ACCOUNTS])} and {more} more"


def _name_in(value: bytes) -> _Named | None:
    try:
        return _named(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
