"""The newest verdicts, searchable: raw bytes that are decoded when somebody looks at them. Pure.

Most verdicts are approvals that nobody opens, so each is kept as it came. Those that are not approved are also kept on
their own, for longer: the review queue is made of them.
"""

import re
from collections import OrderedDict, deque
from collections.abc import Container, Iterator
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from features.identity import EventName, hash64
from features.records import Verdict
from streams.claims import NOT_JSON
from streams.explain_find import needles_of
from streams.log import LogRecord

MOST_HELD: Final = 20_000
"""Verdicts that are not approved, for the review queue."""
_decode = msgspec.json.Decoder(Verdict).decode
_account_in = re.compile(rb'"account_id":"([^"\\]*)"').search
_APPROVED = b'"decision":"approve"'  # quotes inside of an id are escaped, so only the field itself reads like this


class Kept(NamedTuple):
    """A published verdict.

    Attributes:
        published_ms: when the topic took it; None if the topic does not say.
        value: its bytes.
    """

    published_ms: int | None
    value: bytes


class Row(NamedTuple):
    """A verdict for a list."""

    published_ms: int | None
    verdict: Verdict


class Search(NamedTuple):
    """What to look for; empty and None are "any".

    Attributes:
        text: part of an event id or an account id.
        decision: exactly this one.
        code: a reason code that it gives.
        least_score: of the model, at least.
    """

    text: str = ""
    decision: str = ""
    code: str = ""
    least_score: float | None = None


class VerdictBook:
    """Remembers the newest verdicts.

    Args:
        most: verdicts kept.
        most_held: of those that are not approved kept on their own.
    """

    def __init__(self, most: int, most_held: int = MOST_HELD) -> None:
        self._newest: deque[Kept] = deque(maxlen=most)
        self._held: OrderedDict[EventName, Row] = OrderedDict()
        self._most_held = most_held

    def take(self, record: LogRecord) -> None:
        """A record of the topic; what is no verdict is passed over when it is looked at."""
        value = record.value or b""
        self._newest.append(Kept(record.timestamp_ms, value))
        if _APPROVED in value:
            return
        verdict = _verdict(value)
        if verdict is None or verdict.decision == "approve":
            return
        name = EventName(verdict.event_id, verdict.account_id)
        self._held[name] = Row(record.timestamp_ms, verdict)
        self._held.move_to_end(name)
        if len(self._held) > self._most_held:
            self._held.popitem(last=False)

    def __len__(self) -> int:
        return len(self._newest)

    @staticmethod
    def row_of(record: LogRecord) -> Row | None:
        """A record of the topic, decoded; None if it is no verdict."""
        verdict = _verdict(record.value or b"")
        return None if verdict is None else Row(record.timestamp_ms, verdict)

    def held(self) -> Iterator[Row]:
        """What was not approved, earliest first."""
        return iter(self._held.values())

    def copy(self) -> "VerdictBook":
        """The newest verdicts as they are now, to be searched in another thread; what is held is not in it."""
        made = VerdictBook(self._newest.maxlen or 0)
        made._newest = self._newest.copy()
        return made

    def search(self, wanted: Search, most: int) -> list[Row]:
        """What fits, newest first, one row an event."""
        found: dict[EventName, Row] = {}
        for row in self._candidates(wanted):
            name = EventName(row.verdict.event_id, row.verdict.account_id)
            if name not in found and _fits(row.verdict, wanted):
                found[name] = row
                if len(found) == most:
                    break
        return list(found.values())

    def at(self, partition: int, offset: int) -> Row | None:
        """The verdict of the event at this place of the log, if it is among the newest."""
        needle = b'"at":{"partition":%d,"offset":%d,' % (partition, offset)
        for kept in reversed(self._newest):
            if needle in kept.value:
                verdict = _verdict(kept.value)
                if verdict is not None and (verdict.at.partition, verdict.at.offset) == (partition, offset):
                    return Row(kept.published_ms, verdict)
        return None

    def of_account(self, account_id: str, most: int) -> list[Row]:
        """Verdicts on one account, newest first."""
        rows = (row for row in self._candidates(Search(account_id)) if row.verdict.account_id == account_id)
        return list(islice(rows, most))

    def account_names(self, wanted: Container[int], most: int = 20_000) -> dict[int, str]:
        """Hashes of account ids to the ids, of those that are wanted and have one of the newest `most` verdicts."""
        found: dict[int, str] = {}
        for kept in islice(reversed(self._newest), most):
            match = _account_in(kept.value)
            if match is not None:
                name = match[1].decode("utf-8", "replace")
                hashed = hash64(name)
                if hashed in wanted:
                    found[hashed] = name
        return found

    def _candidates(self, wanted: Search) -> Iterator[Row]:
        """Verdicts, newest first, of which the bytes alone do not say that they do not fit."""
        needles = needles_of(wanted.text) if wanted.text else []
        marks = [b'"decision":"%s"' % wanted.decision.encode()] if wanted.decision else []
        marks += [b'"code":"%s"' % wanted.code.encode()] if wanted.code else []
        for kept in reversed(self._newest):
            value = kept.value
            if needles and not any(needle in value for needle in needles):
                continue
            if marks and not all(mark in value for mark in marks):
                continue
            verdict = _verdict(value)
            if verdict is not None:
                yield Row(kept.published_ms, verdict)


def _fits(verdict: Verdict, wanted: Search) -> bool:
    return (
        (not wanted.text or wanted.text in verdict.event_id or wanted.text in verdict.account_id)
        and (not wanted.decision or verdict.decision == wanted.decision)
        and (not wanted.code or any(reason.code == wanted.code for reason in verdict.reasons))
        and (wanted.least_score is None or (verdict.score is not None and verdict.score >= wanted.least_score))
    )


def _verdict(value: bytes) -> Verdict | None:
    try:
        return _decode(value)
    except NOT_JSON:
        return None
