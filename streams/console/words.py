"""How the console writes moments, spans, numbers and identifiers. Pure."""

from datetime import UTC, datetime

from features.card_number import looks_like_card_number, mask
from models.wording import duration_text, number_text
from streams.dead_letter_view import printable

LONGEST_IN_ROW = 32
"""Characters of an identifier in a table."""
DECISION_WORDS = {"approve": "approve", "step_up": "step up", "review": "review", "decline": "decline"}


def shown_id(identifier: str) -> str:
    """An identifier for a page: what looks like a card number or an e-mail address is masked, the rest is printable.

    >>> shown_id("acc-1"), shown_id("4111111111111111"), shown_id("ana@example.org")
    ('acc-1', '[16 digits]', '[e-mail]')
    """
    return printable(mask(identifier) if "@" in identifier or looks_like_card_number(identifier) else identifier)


def row_id(identifier: str) -> str:
    """The same for a row of a table, where a long one would push the others aside.

    >>> row_id("e-1"), len(row_id("x" * 64))
    ('e-1', 32)
    """
    shown = shown_id(identifier)
    return shown if len(shown) <= LONGEST_IN_ROW else f"{shown[: LONGEST_IN_ROW - 1]}…"


def moment(time_ms: int | None) -> str:
    """A time in UTC to the second; a dash for none.

    >>> moment(1_750_000_000_123), moment(None)
    ('2025-06-15 15:06:40', '–')
    """
    if time_ms is None:
        return "–"
    try:
        return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"


def clock(time_ms: int) -> str:
    """The time of the day in UTC, to the minute.

    >>> clock(1_750_000_000_123)
    '15:06'
    """
    return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%H:%M")


def iso(time_ms: int) -> str:
    """A time for machines.

    >>> iso(0)
    '1970-01-01T00:00:00Z'
    """
    try:
        return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return ""


def ago(time_ms: int | None, now_ms: int) -> str:
    """How long ago, in the unit that reads best.

    >>> ago(0, 90_000), ago(5_000, 0), ago(None, 0)
    ('1.5 minutes ago', 'now', 'never')
    """
    if time_ms is None:
        return "never"
    seconds = (now_ms - time_ms) / 1_000
    return "now" if seconds < 1 else f"{duration_text(round(seconds))} ago"


def rate(per_second: float | None) -> str:
    """Events a second; a dash if nobody knows.

    >>> rate(46_123.4), rate(0.25), rate(None)
    ('46,123', '0.25', '–')
    """
    return "–" if per_second is None else number_text(round(per_second, 2))


def share(part: float, whole: float) -> str:
    """A percentage with a digit that says something; a dash of nothing.

    >>> share(1, 8), share(2, 10_000), share(0, 5), share(1, 0)
    ('12.5 %', '0.02 %', '0 %', '–')
    """
    if not whole:
        return "–"
    percent = 100.0 * part / whole
    if percent == 0 or percent == 100:
        return f"{percent:.0f} %"
    return f"{percent:.1f} %" if percent >= 1 else f"{percent:.2g} %"


def milliseconds(value: float | None) -> str:
    """A short span.

    >>> milliseconds(45.0), milliseconds(2_345.0), milliseconds(132_000.0), milliseconds(None)
    ('45 ms', '2.3 s', '2.2 min', '–')
    """
    if value is None:
        return "–"
    if value < 1_000:
        return f"{value:.0f} ms"
    return f"{value / 1_000:.1f} s" if value < 90_000 else f"{value / 60_000:.1f} min"


def score(value: float | None) -> str:
    """A score with three digits; a dash while there is none.

    >>> score(0.92551), score(0.000012), score(None)
    ('0.926', '<0.001', '–')
    """
    if value is None:
        return "–"
    return "<0.001" if 0 < value < 0.0005 else f"{value:.3f}"
