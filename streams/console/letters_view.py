"""Dead letters as rows and pages, and what a query asks for. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from features.errors import AssayError
from streams.console import words
from streams.console.letters import Letters, Source
from streams.dead_letter_view import masked_value, printable, shown_headers, shown_key
from streams.dead_letters import Letter, Wanted
from streams.log_range import Offset, parse_place

MOST_CODE = 40


@dataclass(frozen=True, slots=True)
class LetterRow:
    """One dead letter.

    Attributes:
        link: its page.
        place: in the dead-letter topic.
        source: where its record was.
        taken: when it was set aside.
        code: why.
        said: why, in words: path, expected, got.
        account: its key, masked where it looks personal.
        sent_back: whether it was sent back.
        redrives: how often before this refusal.
    """

    link: str
    place: str
    source: str
    taken: str
    code: str
    said: str
    account: str
    sent_back: bool
    redrives: int


@dataclass(frozen=True, slots=True)
class LetterPage:
    """One dead letter, whole."""

    row: LetterRow
    path: str
    expected: str
    got: str
    headers: list[tuple[str, str]]
    value: list[tuple[str, str]]


def letter_rows(letters: Letters, source: Source) -> list[LetterRow]:
    """Rows in their order."""
    return [_row(letter, source, letter.source in letters.sent_back) for letter in letters.newest]


def letter_page(letter: Letter, source: Source) -> LetterPage:
    """The page about one."""
    return LetterPage(
        row=_row(letter, source, sent_back=False),
        path=printable(letter.path),
        expected=printable(letter.expected),
        got=printable(letter.got),
        headers=shown_headers(letter),
        value=masked_value(letter),
    )


def source_of_text(text: str) -> Source:
    """Which dead letters.

    Raises:
        AssayError: neither those of events nor of labels.
    """
    if text not in ("events", "labels"):
        raise AssayError("dead letters are those of events or of labels")
    return cast(Source, text)


def wanted_of_query(query: Mapping[str, str], now_ms: int) -> Wanted:
    """Which letters the fields of a form ask for; empty fields are "any".

    Raises:
        AssayError: a time is none.

    >>> wanted_of_query({"code": "not_json", "from": "-1h"}, 7_200_000).from_ms
    3600000
    """
    code, account = query.get("code", "").strip()[:MOST_CODE], query.get("account", "").strip()
    partition, first = query.get("partition", "").strip(), query.get("offset", "").strip()
    return Wanted(
        codes=frozenset({code} if code else ()),
        account=account.encode() if account else None,
        from_ms=_time(query.get("from", "").strip(), now_ms),
        to_ms=_time(query.get("to", "").strip(), now_ms),
        source_partition=_whole(partition, "partition"),
        first_offset=_whole(first, "offset"),
        last_offset=_whole(first, "offset"),
    )


def _time(text: str, now_ms: int) -> int | None:
    if not text:
        return None
    place = parse_place(text, now_ms)
    if isinstance(place, Offset):
        raise AssayError(f"expected a time (-6h, 2026-01-31T12:00:00Z), got the number {place.offset}")
    return place.time_ms


def _whole(text: str, name: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise AssayError(f"{name}: expected a whole number")
    return int(text)


def _row(letter: Letter, source: Source, sent_back: bool) -> LetterRow:
    return LetterRow(
        link=f"/letters/{source}/{letter.partition}/{letter.record.offset}",
        place=letter.place,
        source=printable(str(letter.source)),
        taken=words.moment(letter.record.timestamp_ms),
        code=printable(letter.code),
        said=printable(f"{letter.path}: expected {letter.expected}, got {letter.got}"),
        account=shown_key(letter.record.key),
        sent_back=sent_back,
        redrives=letter.redrives,
    )
