"""Which alerts are in force, and what is to be told about them: findings of each look in, records out. Pure.

An alert is one kind and subject (`streams.alert_kinds`). It begins with the first finding and is over when it was not
found for as long as its kind says, or when a search outside these looks ended without it. What is told at one look of
one kind is one record with many subjects, so that forty features that move at once are one line and not forty.

Told is what begins, what still goes on after `repeat_ms`, and what is over. A page that comes back after it was told to
be over is told at once; a ticket not before `repeat_ms` after it was last told, so that one at the edge of its limit is
not told each hour. A snooze keeps back all of it; when it ends, what is still in force is told at once.
"""

import math
from collections.abc import Container, Iterable
from itertools import chain, groupby
from typing import Final, Literal, NamedTuple

import msgspec

from features.errors import AssayError
from features.records import Alert, six_digits
from models.finding import Finding, Level
from models.telemetry_log import Snooze
from models.wording import duration_text
from streams.alert_kinds import KINDS, concern_of

REPEAT_MS: Final = 4 * 3_600_000
"""An alert in force is told again after so long, unless the settings say otherwise."""

_Key = tuple[str, str]


class Standing(NamedTuple):
    """One alert in force, for people to look at.

    Attributes:
        kind: of alert.
        subject: which one of the kind; empty for a kind that has one only.
        text: the newest finding in words.
        since_ms: first look that found it.
        seen_ms: newest look that found it.
        snooze: keeps it back; None: it is told.
    """

    kind: str
    subject: str
    text: str
    since_ms: int
    seen_ms: int
    snooze: Snooze | None


class _Entry(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One alert, as long as anything about it has to be remembered.

    `told_ms` is when it was last told to be firing, `standing` whether that was not taken back yet, `kept_back` whether
    a snooze has hidden it since.
    """

    kind: str
    subject: str
    level: Level
    value: float | None
    expected: float | None
    text: str
    since_ms: int
    seen_ms: int
    in_force: bool = True
    told_ms: int | None = None
    standing: bool = False
    kept_back: bool = False


class _State(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    schema: Literal[1]
    newest_ms: int | None
    entries: list[_Entry]
    snoozes: list[Snooze]
    heard: dict[str, list[Finding]] = {}


class AlertBook:
    """Remembers alerts from look to look.

    Args:
        repeat_ms: an alert in force is told again after so long.

    >>> book = AlertBook()
    >>> found = Finding(name="volume", level="act", value=9.0, expected=500.0, text="9 verdicts, usually 500")
    >>> [(alert.alert, alert.status) for alert in book.observe([found], now_ms=0)]
    [('volume-drop', 'firing')]
    >>> book.observe([found], now_ms=3_600_000)
    []
    >>> [(alert.status, alert.text) for alert in book.observe([], now_ms=9_000_000)]
    [('resolved', 'not found for 1.5 hours; it was: 9 verdicts, usually 500')]
    """

    def __init__(self, repeat_ms: int = REPEAT_MS) -> None:
        assert repeat_ms > 0
        self._repeat_ms = repeat_ms
        self._newest_ms: int | None = None
        self._entries: dict[_Key, _Entry] = {}
        self._snoozes: dict[tuple[str, str | None], Snooze] = {}
        self._heard: dict[str, list[Finding]] = {}

    def hear(self, kind: str, findings: Iterable[Finding]) -> None:
        """What was found elsewhere, where no time of these looks is known: it belongs to the next look.

        It is all that there is of its kind: what stands and is not found again is over then. The last word before a
        look holds, so the same one may come again.

        Args:
            kind: of alert.
            findings: all of them of this kind; none ends what stands.
        """
        found = list(findings)
        assert all(concern_of(finding).kind.name == kind for finding in found), f"expected findings of {kind} alone"
        self._heard[kind] = found

    @property
    def has_heard(self) -> bool:
        """Whether something waits for the next look."""
        return bool(self._heard)

    def observe(self, findings: Iterable[Finding], now_ms: int) -> list[Alert]:
        """Take what one look found; give the records to publish, by kind, those that fire first.

        Looks of several watches may come one after another with the same time. What a look does not find may be found
        by another: an alert is over by time alone, or by a word that was heard. A look older than the newest one
        changes nothing, and neither does the same look again. Keep the state only after the records were published:
        then a crash tells an alert twice and never not at all.

        Args:
            findings: of the look; none is a look too, and ends what is over.
            now_ms: when it was made, epoch milliseconds.
        """
        if self._newest_ms is not None and now_ms < self._newest_ms:
            return []
        self._newest_ms = now_ms
        heard, self._heard = self._heard, {}
        found = self._take(chain(findings, *heard.values()), now_ms)
        for key, entry in self._entries.items():
            if entry.kind in heard and key not in found:
                entry.in_force = entry.kept_back = False
        self._snoozes = {key: snooze for key, snooze in self._snoozes.items() if snooze.until_ms > now_ms}
        firing, resolved = [], []
        for key, entry in sorted(self._entries.items()):
            if now_ms - entry.seen_ms >= KINDS[entry.kind].resolve_ms:
                entry.in_force = entry.kept_back = False
            if self._snooze_of(entry) is not None:
                entry.kept_back = entry.in_force
            elif entry.in_force and self._is_due(entry, now_ms):
                entry.told_ms, entry.standing, entry.kept_back = now_ms, True, False
                firing.append(entry)
            elif entry.standing and not entry.in_force:
                entry.standing = False
                resolved.append(entry)
            told_lately = entry.told_ms is not None and now_ms - entry.told_ms < self._repeat_ms
            if not (entry.in_force or entry.standing or told_lately):
                del self._entries[key]
        return _records(firing, "firing", now_ms) + _records(resolved, "resolved", now_ms)

    def snooze(self, snooze: Snooze) -> None:
        """Keep alerts back; one for the same kind and subject takes the place of the former.

        Raises:
            AssayError: there is no such kind.
        """
        if snooze.kind not in KINDS:
            raise AssayError(f"snooze: expected a kind of alert ({', '.join(sorted(KINDS))}), got {snooze.kind!r}")
        self._snoozes[snooze.kind, snooze.subject] = snooze

    def snoozes(self) -> list[Snooze]:
        """All that were not over at the newest look, by kind and subject, those of a whole kind first."""
        return sorted(self._snoozes.values(), key=lambda snooze: (snooze.kind, snooze.subject or ""))

    def in_force(self) -> list[Standing]:
        """What is in force as of the newest look, by kind and subject; also what is snoozed."""
        return [
            Standing(entry.kind, entry.subject, entry.text, entry.since_ms, entry.seen_ms, self._snooze_of(entry))
            for _, entry in sorted(self._entries.items())
            if entry.in_force
        ]

    def count_by_kind(self) -> dict[str, int]:
        """How many are in force of every kind, 0 among them; also what is snoozed."""
        counts = dict.fromkeys(KINDS, 0)
        for entry in self._entries.values():
            counts[entry.kind] += entry.in_force
        return counts

    @property
    def newest_ms(self) -> int | None:
        """When the newest look was made, epoch milliseconds; None before the first."""
        return self._newest_ms

    def state(self) -> bytes:
        """Everything but `repeat_ms`, as JSON: equal states are equal bytes."""
        entries = [entry for _, entry in sorted(self._entries.items())]
        state = _State(1, self._newest_ms, entries, self.snoozes(), self._heard)
        return msgspec.json.encode(state, order="sorted")

    @classmethod
    def restore(cls, data: bytes, repeat_ms: int = REPEAT_MS) -> "AlertBook":
        """What `state` gave.

        Raises:
            AssayError: it is not one, or one of a version with other kinds of alerts.
        """
        try:
            state = msgspec.json.decode(data, type=_State)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise AssayError(f"state of the alerts: {error}; remove it, what is in force is told again") from error
        kinds = {entry.kind for entry in state.entries} | {snooze.kind for snooze in state.snoozes}
        strange = (kinds | state.heard.keys()) - KINDS.keys()
        if strange:
            raise AssayError(
                f"state of the alerts: expected kinds of alerts of this version, got {', '.join(sorted(strange))}; "
                "remove it, what is in force is told again"
            )
        book = cls(repeat_ms)
        book._newest_ms = state.newest_ms
        book._entries = {(entry.kind, entry.subject): entry for entry in state.entries}
        book._snoozes = {(snooze.kind, snooze.subject): snooze for snooze in state.snoozes}
        book._heard = state.heard
        return book

    def _take(self, findings: Iterable[Finding], now_ms: int) -> Container[_Key]:
        """Let each alert know what was found of it, and say which; of several findings about one the worst counts."""
        worst: dict[_Key, _Entry] = {}
        for finding in findings:
            kind, subject = concern_of(finding)
            seen = _Entry(
                kind=kind.name,
                subject=subject,
                level=finding.level,
                value=six_digits(finding.value),
                expected=six_digits(finding.expected),
                text=finding.text,
                since_ms=now_ms,
                seen_ms=now_ms,
            )
            key = (kind.name, subject)
            worst[key] = max(worst.get(key, seen), seen, key=_badness)
        for key, seen in worst.items():
            known = self._entries.setdefault(key, seen)
            if known is not seen:
                known.since_ms = known.since_ms if known.in_force else now_ms
                known.level, known.value, known.expected = seen.level, seen.value, seen.expected
                known.text, known.seen_ms, known.in_force = seen.text, now_ms, True
        return worst

    def _is_due(self, entry: _Entry, now_ms: int) -> bool:
        """Whether an alert in force that nobody snoozes has to be told now."""
        if entry.told_ms is None or entry.kept_back or now_ms - entry.told_ms >= self._repeat_ms:
            return True
        return not entry.standing and KINDS[entry.kind].severity == "page"

    def _snooze_of(self, entry: _Entry) -> Snooze | None:
        return self._snoozes.get((entry.kind, entry.subject)) or self._snoozes.get((entry.kind, None))


def _badness(entry: _Entry) -> tuple[bool, float, str, str]:
    """Grows with how bad it is; what is no number is worst."""
    known = entry.value is not None and entry.expected is not None
    distance = abs(entry.value - entry.expected) if known else math.inf  # type: ignore[operator]
    return entry.level == "act", distance, entry.subject, entry.text


def _records(entries: Iterable[_Entry], status: Literal["firing", "resolved"], now_ms: int) -> list[Alert]:
    """One record for each kind; entries come sorted by kind and subject."""
    records = []
    for name, group in groupby(entries, key=lambda entry: entry.kind):
        alike, kind = list(group), KINDS[name]
        worst = max(alike, key=_badness)
        text = worst.text if len(alike) == 1 else f"{worst.text}; and {len(alike) - 1} more"
        if status == "resolved":
            is_old = now_ms - worst.seen_ms >= kind.resolve_ms
            over = f"not found for {duration_text(kind.resolve_ms / 1000)}" if is_old else "looked for and not found"
            text = f"{over}; it was: {text}"
        records.append(
            Alert(
                alert=name,
                subjects=[entry.subject for entry in alike if entry.subject],
                status=status,
                severity=kind.severity,
                text=text,
                value=worst.value,
                expected=worst.expected,
                since_ms=min(entry.since_ms for entry in alike),
                at_ms=now_ms,
                runbook=kind.runbook,
            )
        )
    return records
