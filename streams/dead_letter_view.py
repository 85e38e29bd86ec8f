"""What a person may see of a dead letter without a right to its values: names, types, lengths, harmless words. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

from features.card_number import looks_like_card_number, mask
from features.events import Application, Label, LabelIntake, Login, Marker, Payment, ProfileChange
from features.faults import describe
from features.records import DEAD_LETTER_HEADERS
from streams.dead_letters import REDRIVE_COUNT_HEADER, REDRIVE_ID_HEADER, Letter
from streams.trace_context import TRACE_HEADER

_SHOWN_HEADERS: Final = {*DEAD_LETTER_HEADERS.values(), REDRIVE_COUNT_HEADER, REDRIVE_ID_HEADER, TRACE_HEADER}
_WORDS: Final = {
    "type", "currency", "method", "channel", "country", "authorization", "field", "label", "fraud_type", "source",
    "marker",
}  # fmt: skip
"""Fields of one short word out of a list, by contract."""
_AMOUNTS: Final = {"amount_minor", "requested_minor"}
_TIMES: Final = {"time_ms", "known_at_ms"}
_KNOWN: Final = {
    name for kind in (Payment, Login, ProfileChange, Application, Label, Marker, LabelIntake)
    for name in kind.__struct_fields__
} | _WORDS  # fmt: skip
_CARD_LENGTH: Final = 10**12  # an integer below it has fewer digits than a card number
_DEEPEST: Final = 3
_LONGEST: Final = 128


def masked_value(letter: Letter) -> list[tuple[str, str]]:
    """The structure of the refused record: (JSON path, what is there), without values that may be personal.

    Values are repeated only of fields that hold one short word, an amount or a time by contract, and only where they
    look like one.
    """
    value = letter.record.value
    if value is None:
        return [("$", "no value")]
    if letter.is_redacted:
        return [("$", f"{value.decode()}: it held a card number, so the record is not kept")]
    size = f"{len(value):,} bytes"
    try:
        content = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [("$", f"{size} that are not one JSON text")]
    return [("$", f"{size}, {_what(content)}"), *_members("$", content)]


def shown_headers(letter: Letter) -> list[tuple[str, str]]:
    """Every header: what this engine and tracing wrote as it is, of others the length."""
    rows = []
    for name, value in letter.record.headers:
        if name in _SHOWN_HEADERS and value is not None:
            shown = value.decode("utf-8", "backslashreplace")
        else:
            shown = "no value" if value is None else f"{len(value)} bytes"
        rows.append((printable(name), printable(shown)))
    return rows


def shown_key(key: bytes | None) -> str:
    """The key, which is an account id by contract; masked where it looks like a card number or an e-mail address.

    >>> shown_key(b"acc-1"), shown_key(b"4111111111111111"), shown_key(None)
    ('acc-1', '[16 digits]', 'none')
    """
    if key is None:
        return "none"
    text = key.decode("utf-8", "backslashreplace")
    return printable(mask(text) if "@" in text or looks_like_card_number(text) else text)


def taken(letter: Letter) -> str:
    """When it was set aside, ISO 8601 in UTC; empty if the topic does not say."""
    taken_ms = letter.record.timestamp_ms
    return "" if taken_ms is None else _moment(taken_ms)


def printable(text: str) -> str:
    r"""`text` for a terminal: on one line, not too long, and nothing that a terminal would obey.

    >>> printable("a\x1b[2J\n")
    'a\\x1b[2J\\n'
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: _LONGEST + 1])
    return shown if len(text) <= _LONGEST else f"{shown[:_LONGEST]}…"


def _members(path: str, content: object) -> Iterator[tuple[str, str]]:
    if not isinstance(content, dict) or path.count(".") >= _DEEPEST:
        return
    for name, member in content.items():
        member_path = f"{path}.{name if name in _KNOWN else printable(mask(name))}"
        yield member_path, _shown(name, member)
        yield from _members(member_path, member)


def _shown(name: str, member: object) -> str:
    if name in _WORDS and isinstance(member, str):
        return describe(member, "one of ")
    if isinstance(member, int) and not isinstance(member, bool):
        if name in _AMOUNTS and 0 <= member < _CARD_LENGTH:
            return str(member)
        if name in _TIMES and _CARD_LENGTH <= member < 2 * _CARD_LENGTH:  # 2001 to 2033; card numbers begin higher
            return f"{member} ({_moment(member)})"
    return _what(member)


def _what(content: object) -> str:
    match content:
        case bool():
            return "true or false"
        case int():
            return "an integer"
        case float():
            return "a number"
        case dict():
            return f"an object of {len(content)} members"
        case list():
            return f"an array of {len(content)}"
        case _:
            return describe(content)  # null, or a string of so many characters


def _moment(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
