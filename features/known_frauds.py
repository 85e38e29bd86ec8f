"""Which accounts are in fraud, from labels of single events: a reversal clears an account only of what it reverses."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.graph_links import LABEL
from features.windows import DAY_MS

_KEPT_MS = 100 * DAY_MS
"""Longer than the graph remembers a fraud."""


class KnownFrauds:
    """Frauds in force, by account and event.

    >>> from features.links import MARK
    >>> marks = np.zeros(3, MARK)
    >>> marks["account"], marks["event"], marks["fraud"], marks["known_at_ms"] = 1, [7, 8, 7], [True, True, False], 5
    >>> KnownFrauds().labels(marks)["fraud"].tolist()  # the account is still in fraud: event 8
    [True, True]
    """

    def __init__(self) -> None:
        self._events: dict[int, dict[int, int]] = {}

    def labels(self, marks: NDArray[Any]) -> NDArray[Any]:
        """`LABEL`[n] that `MARK`s mean for their accounts: in fraud, or none of it left."""
        said: list[tuple[int, bool, int]] = []
        for account, event, fraud, known_at_ms in zip(
            *(marks[name].tolist() for name in ("account", "event", "fraud", "known_at_ms")), strict=True
        ):
            of_account = self._events.setdefault(account, {})
            if fraud:
                of_account[event] = known_at_ms
                said.append((account, True, known_at_ms))
            elif of_account.pop(event, None) is not None and not of_account:
                said.append((account, False, known_at_ms))
            if not of_account:
                del self._events[account]
        return np.array(said, dtype=LABEL)

    def forget(self, now_ms: int) -> None:
        """Let go of frauds that were known so long ago that nothing asks for them."""
        for account, events in list(self._events.items()):
            kept = {event: known_at_ms for event, known_at_ms in events.items() if known_at_ms > now_ms - _KEPT_MS}
            if kept:
                self._events[account] = kept
            else:
                del self._events[account]

    def state(self) -> bytes:
        """Everything, for `restored`."""
        return msgspec.msgpack.encode(self._events)

    @classmethod
    def restored(cls, state: bytes) -> "KnownFrauds":
        """Those that said `state`."""
        frauds = cls()
        frauds._events = msgspec.msgpack.decode(state, type=dict[int, dict[int, int]])
        return frauds
