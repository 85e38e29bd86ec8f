"""What was learned about events: the newest label of each, as the labels topic has it. Pure."""

from collections import OrderedDict
from typing import Final

import msgspec

from features.events import LabelIntake
from features.identity import EventName
from streams.claims import NOT_JSON

MOST_LABELS: Final = 100_000
_decode = msgspec.json.Decoder(LabelIntake).decode


class LabelBook:
    """Remembers labels; a later one for the same event replaces the earlier."""

    def __init__(self, most: int = MOST_LABELS) -> None:
        self._most = most
        self._newest: OrderedDict[EventName, LabelIntake] = OrderedDict()

    def take(self, value: bytes) -> None:
        """A record of the topic; one that is no label is passed over (the warm path sets it aside)."""
        try:
            label = _decode(value)
        except NOT_JSON:
            return
        name = EventName(label.judged_event_id, label.account_id)
        known = self._newest.get(name)
        if known is None or label.known_at_ms >= known.known_at_ms:
            self._newest[name] = label
            self._newest.move_to_end(name)
        if len(self._newest) > self._most:
            self._newest.popitem(last=False)

    def of(self, event_id: str, account_id: str) -> LabelIntake | None:
        """The newest label of an event; None if there is none."""
        return self._newest.get(EventName(event_id, account_id))

    def by_analysts_since(self, from_ms: int) -> int:
        """Events of which the newest label is an analyst's, from `from_ms` on."""
        return sum(label.source == "analyst" and label.known_at_ms >= from_ms for label in self._newest.values())

    def __len__(self) -> int:
        return len(self._newest)
