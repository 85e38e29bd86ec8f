"""The audit trail: who asked for what, when, from where, and what came of it. An action is told before it is done.

A crash between the two leaves an action that was asked for and of which nobody knows whether it was done; the reader of
the trail sees it as such. The other order would leave actions that nobody asked for.
"""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from features.errors import AssayError
from streams.claims import NOT_JSON

Action = Literal["label", "redrive", "replay", "cancel", "snooze"]
Stage = Literal["asked", "done", "failed"]
AUDIT_HEADER: Final = "assay-audit-id"
"""Header of what an action writes: the id of its audit records."""
MOST_ACTIONS: Final = 2_000

T = TypeVar("T")


class AuditRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A record of the audit topic; its key is `id`.

    Attributes:
        id: 16 hex digits, the same for everything that is told of one action.
        action: what kind.
        stage: ``asked`` before it is done; ``done`` or ``failed`` behind it.
        who: name that belongs to the token.
        source: address that the request came from.
        at_ms: when this was told, epoch milliseconds.
        details: what exactly, and what came of it; ids and counts, no content of events.
        schema: version of this shape.
    """

    id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    action: Action
    stage: Stage
    who: str
    source: str
    at_ms: int
    details: dict[str, str | int | float | None]
    schema: Literal[1] = 1


Details = Mapping[str, str | int | float | None]
_decode = msgspec.json.Decoder(AuditRecord).decode
_encode = msgspec.json.Encoder().encode


def audit_json(record: AuditRecord) -> bytes:
    """The record's bytes."""
    return _encode(record)


def new_id() -> str:
    """An id that nobody used before."""
    return secrets.token_hex(8)


class Asked:
    """One action under audit.

    Args:
        write: puts a record into the topic, and returns when it is safe.
        action: what is to be done.
        who: asks for it.
        source: from where.
        details: what exactly.
        clock_ms: tells the time.
    """

    def __init__(
        self,
        write: Callable[[AuditRecord], None],
        action: Action,
        who: str,
        source: str,
        details: Details,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.id = new_id()
        self._write = write
        self._clock_ms = clock_ms
        self._first = AuditRecord(
            id=self.id, action=action, stage="asked", who=who, source=source, at_ms=clock_ms(), details=dict(details)
        )

    def then(self, effect: Callable[[], T], told: Callable[[T], Details] = lambda _: {}) -> T:
        """Tell it, do it, tell what came of it.

        Args:
            effect: does it; not called if it could not be told.
            told: details of the result.

        Raises:
            AssayError: of telling or of doing.
        """
        self._write(self._first)
        try:
            result = effect()
        except AssayError as error:
            self._tell("failed", {"error": str(error)})
            raise
        self._tell("done", told(result))
        return result

    def _tell(self, stage: Stage, more: Details) -> None:
        details = {**self._first.details, **more}
        self._write(msgspec.structs.replace(self._first, stage=stage, at_ms=self._clock_ms(), details=details))


class AuditTrail:
    """The newest actions, as the topic tells them."""

    def __init__(self, most: int = MOST_ACTIONS) -> None:
        self._most = most
        self._actions: OrderedDict[str, list[AuditRecord]] = OrderedDict()

    def take(self, value: bytes) -> None:
        """A record of the topic; one that is none is passed over, one that was taken before changes nothing."""
        try:
            record = _decode(value)
        except NOT_JSON:
            return
        told = self._actions.setdefault(record.id, [])
        if record not in told:
            told.append(record)
        if len(self._actions) > self._most:
            self._actions.popitem(last=False)

    def newest(self, most: int) -> list[list[AuditRecord]]:
        """Everything told of each of the newest actions, newest action first."""
        return [
            sorted(told, key=lambda record: record.at_ms) for told in list(self._actions.values())[: -most - 1 : -1]
        ]
