"""The nine windows: the past that counts when an event is judged.

For an event at `time_ms` t, window W holds the account's events that arrived before it and whose time lies in
(t - W, t]. The event itself is never inside. See docs/decisions/0002-windows-as-of-arrival.md.
"""

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

WINDOWS_MS: dict[str, int] = {
    "1m": MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "10m": 10 * MINUTE_MS,
    "1h": HOUR_MS,
    "6h": 6 * HOUR_MS,
    "1d": DAY_MS,
    "7d": 7 * DAY_MS,
    "30d": 30 * DAY_MS,
    "90d": 90 * DAY_MS,
}
"""Name of a window, as it appears in feature names, to its length; from the shortest to the longest."""

WINDOW_NAMES: tuple[str, ...] = tuple(WINDOWS_MS)
WINDOW_LENGTHS_MS: tuple[int, ...] = tuple(WINDOWS_MS.values())
LONGEST_WINDOW_MS = WINDOW_LENGTHS_MS[-1]

WINDOW_TEXTS: dict[str, str] = {
    "1m": "a minute",
    "5m": "5 minutes",
    "10m": "10 minutes",
    "1h": "an hour",
    "6h": "6 hours",
    "1d": "a day",
    "7d": "7 days",
    "30d": "30 days",
    "90d": "90 days",
    "48h": "48 hours",
}
"""How a window is said to people: "7 payments in 10 minutes"."""
