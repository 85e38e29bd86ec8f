"""Tables, times and ages as plain text: lines that fit a terminal, a mail and grep alike."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from models.wording import duration_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def aligned(rows: Iterable[Sequence[str]], indent: str = "  ") -> list[str]:
    """Rows of cells as lines with straight columns.

    >>> aligned([("a", "1"), ("long", "22")])
    ['  a     1', '  long  22']
    """
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return [
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]


def time_text(time_ms: int) -> str:
    """A time in UTC, to the millisecond.

    >>> time_text(1_750_000_000_123)
    '2025-06-15T15:06:40.123Z'
    """
    try:
        moment = _EPOCH + timedelta(milliseconds=time_ms)
    except OverflowError:
        return f"{time_ms} ms"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def age_text(age_ms: int) -> str:
    """How long before.

    >>> age_text(90_000), age_text(0), age_text(-5_000)
    ('1.5 minutes before', 'the same time', '5 seconds later')
    """
    if age_ms == 0:
        return "the same time"
    return f"{duration_text(abs(age_ms) / 1_000)} {'before' if age_ms > 0 else 'later'}"
