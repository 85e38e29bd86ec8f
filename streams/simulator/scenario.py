"""What is asked of the simulator: how many events, of how many accounts, over which days, with how much fraud."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from features.errors import AssayError

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

DEFAULT_START = "2025-01-06T00:00:00Z"
"""A Monday: a constant, so that a run never depends on the day it is made."""
DEFAULT_START_MS = 1_736_121_600_000
"""The same moment."""
DEFAULT_FRAUD_SHARE = 0.007
EVENTS_PER_ACCOUNT = 80
"""Default size of an account's life: it gives an event every 18 hours over 60 days."""
FEWEST_ACCOUNTS = 60
LATEST_START_MS = 253_370_764_800_000
"""9999-01-01T00:00:00Z: later dates have no four-digit year."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One simulation, complete: equal scenarios give equal bytes.

    Attributes:
        events: records of the event file, duplicates included, at least 100.
        seed: source of every random number, 0 or greater.
        accounts: 0 chooses one account for every 80 events (at least 60).
        days: length of the simulated time.
        start_ms: its first moment, epoch milliseconds UTC.
        fraud_share: wanted share of fraudulent payments among payments, 0 to 0.2.

    Raises:
        AssayError: a value outside these bounds.

    >>> Scenario(events=80_000).accounts
    1000
    >>> Scenario(events=10)
    Traceback (most recent call last):
        ...
    features.errors.AssayError: events: expected at least 100, got 10
    """

    events: int
    seed: int = 1
    accounts: int = 0
    days: int = 60
    start_ms: int = DEFAULT_START_MS
    fraud_share: float = DEFAULT_FRAUD_SHARE
    end_ms: int = field(init=False)

    def __post_init__(self) -> None:
        if self.accounts == 0:
            object.__setattr__(self, "accounts", max(FEWEST_ACCOUNTS, self.events // EVENTS_PER_ACCOUNT))
        object.__setattr__(self, "end_ms", self.start_ms + self.days * DAY_MS)
        _check("events", self.events >= 100, "at least 100", self.events)
        _check("seed", self.seed >= 0, "0 or greater", self.seed)
        _check("accounts", self.accounts >= FEWEST_ACCOUNTS, f"0 or at least {FEWEST_ACCOUNTS}", self.accounts)
        _check("accounts", self.accounts <= self.events, "no more accounts than events", self.accounts)
        _check("days", 1 <= self.days <= 3_650, "1 to 3650", self.days)
        _check("start", 0 <= self.start_ms <= LATEST_START_MS, "a time from 1970 to 9999", self.start_ms)
        _check("fraud share", 0.0 <= self.fraud_share <= 0.2, "0 to 0.2", self.fraud_share)


def _check(name: str, holds: bool, expected: str, got: float) -> None:
    if not holds:
        raise AssayError(f"{name}: expected {expected}, got {got}")


def parse_start(text: str) -> int:
    """Epoch milliseconds of an ISO 8601 date or time (UTC where it names no zone), or of a number of milliseconds.

    Raises:
        AssayError: neither of the two.

    >>> parse_start(DEFAULT_START) == DEFAULT_START_MS
    True
    >>> parse_start("2025-01-06") == parse_start("2025-01-06T01:00:00+01:00") == parse_start("1736121600000")
    True
    """
    if text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise AssayError(
            f"start: expected an ISO 8601 time such as 2025-01-06T00:00:00Z, or epoch milliseconds, got {text!r}"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * SECOND_MS)
