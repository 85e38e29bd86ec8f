"""Stops a run in which too many records are refused: then the fault is probably ours."""

from collections import deque

from features.errors import AssayError

RECENT_RECORDS = 1_000
FEWEST_RECORDS = 100
"""Nothing is concluded from fewer."""


class BadShare:
    """Share of refused records among the most recent ones.

    >>> watch = BadShare(0.5)
    >>> watch.add(good=60, bad=40)
    >>> watch.share
    0.4
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._recent: deque[tuple[int, int]] = deque()
        self._records = 0
        self._bad = 0

    @property
    def share(self) -> float:
        """Share of refused records among the recent ones; 0 before the first."""
        return self._bad / self._records if self._records else 0.0

    def add(self, *, good: int, bad: int, codes: str = "") -> None:
        """Count a batch; `codes` says why its records were refused, for the message.

        Raises:
            AssayError: the limit is passed.
        """
        self._recent.append((good + bad, bad))
        self._records += good + bad
        self._bad += bad
        while self._records - self._recent[0][0] >= RECENT_RECORDS:
            records, refused = self._recent.popleft()
            self._records -= records
            self._bad -= refused
        if self._records >= FEWEST_RECORDS and self.share > self._limit:
            raise AssayError(
                f"{self._bad} of the last {self._records} records were refused, more than the share of {self._limit:g} "
                f"that engine.bad_share allows{codes and f' ({codes})'}; this batch was not committed. If the "
                "producers are at fault and not this worker, raise engine.bad_share and start again"
            )
