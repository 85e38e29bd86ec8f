"""What is different between two lots of verdicts on the same events, and what that comes to in money. Pure.

Bytes decide whether a verdict changed. A verdict that only one side has is a change too. The money adds up: the
differences of the changed verdicts are the difference between all verdicts of both sides, to the minor unit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.records import Verdict


class Judgement(NamedTuple):
    """What one side says of one event.

    Attributes:
        offset: of the event.
        value: the bytes of the verdict.
        features: float32[f] that the event was judged by; None if they are not known.
        feature_set: hash of the feature set that they belong to.
    """

    offset: int
    value: bytes
    features: NDArray[np.float32] | None = None
    feature_set: str = ""


class Pair(NamedTuple):
    """What both sides say of one event; None where a side says nothing."""

    before: Judgement | None
    after: Judgement | None

    @property
    def is_equal(self) -> bool:
        """Whether both sides published the same bytes."""
        return self.before is not None and self.after is not None and self.before.value == self.after.value


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a changed verdict.

    Attributes:
        decision: what to do.
        score: probability of fraud; null without a model.
        expected_loss_minor: see `Verdict`.
        threshold: score above which this side's policy gives the stronger of the two decisions, or a stronger one
            still; null where both sides decide alike, no score does, or the breaker decided.
        model: first digits of its id.
        policy: first digits of its id.
    """

    decision: str
    score: float | None
    expected_loss_minor: int | None
    threshold: float | None
    model: str
    policy: str


class Moved(msgspec.Struct, frozen=True):
    """A feature whose share in the score changed.

    Attributes:
        feature: its name.
        before: log-odds that it added; 0 if the side does not have the feature.
        after: the same on the other side.
    """

    feature: str
    before: float
    after: float


class ChangedVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a difference.

    Attributes:
        event_id: the event.
        account_id: its account.
        time_ms: its time.
        partition: where it is in the log.
        offset: where it is in the log.
        change: ``decision``, ``other`` (the same decision with other bytes), ``missing`` (only the earlier side has a
            verdict) or ``extra`` (only the later side has one).
        attack: fraud type of the newest label, ``fraud`` if the label names none, ``legit`` or ``unlabelled``.
        amount_minor: the event's amount in the base currency, 0 if it has none; null if it cannot be told.
        before: the earlier side; null if it has no verdict.
        after: the later side; null if it has no verdict.
        moved: features whose shares in the score changed most, where the decision is another; strongest first.
    """

    event_id: str
    account_id: str
    time_ms: int
    partition: int
    offset: int
    change: Literal["decision", "other", "missing", "extra"]
    attack: str
    amount_minor: int | None
    before: Side | None
    after: Side | None
    moved: list[Moved]


class Group(NamedTuple):
    """What changed verdicts are counted by; an empty decision stands for no verdict."""

    before: str
    after: str
    attack: str


@dataclass(slots=True)
class Total:
    """Sums over the changed verdicts of a group.

    Attributes:
        count: how many.
        amount_minor: sum of the amounts at stake.
        expected_loss_minor: sum of what is expected to be lost afterwards minus before.
    """

    count: int = 0
    amount_minor: int = 0
    expected_loss_minor: int = 0


@dataclass(slots=True)
class Diff:
    """A running comparison.

    Attributes:
        equal: verdicts with the same bytes on both sides.
        expected_loss_before_minor: sum over all verdicts of the earlier side.
        expected_loss_after_minor: sum over all verdicts of the later side.
        groups: sums over the changed ones.
    """

    equal: int = 0
    expected_loss_before_minor: int = 0
    expected_loss_after_minor: int = 0
    groups: dict[Group, Total] = field(default_factory=dict)

    @property
    def changed(self) -> int:
        """How many verdicts changed."""
        return sum(total.count for total in self.groups.values())

    def see(self, pair: Pair) -> None:
        """Take the money of both sides of an event into account, changed or not."""
        self.equal += pair.is_equal
        before = _loss_minor(pair.before)
        self.expected_loss_before_minor += before
        self.expected_loss_after_minor += before if pair.is_equal else _loss_minor(pair.after)

    def count(self, changed: ChangedVerdict) -> None:
        """Count a changed verdict."""
        before, after = changed.before, changed.after
        group = Group(before.decision if before else "", after.decision if after else "", changed.attack)
        total = self.groups.setdefault(group, Total())
        total.count += 1
        total.amount_minor += changed.amount_minor or 0
        total.expected_loss_minor += (after.expected_loss_minor or 0) if after else 0
        total.expected_loss_minor -= (before.expected_loss_minor or 0) if before else 0


def pairs(before: Sequence[Judgement], after: Sequence[Judgement]) -> Iterator[Pair]:
    """Both sides of each event that either judged, by offset.

    Args:
        before: offsets rising.
        after: offsets rising.

    >>> [(pair.before is None, pair.after is None) for pair in pairs([Judgement(1, b"a")], [Judgement(2, b"b")])]
    [(False, True), (True, False)]
    """
    places = [0, 0]
    while places[0] < len(before) or places[1] < len(after):
        one = before[places[0]] if places[0] < len(before) else None
        other = after[places[1]] if places[1] < len(after) else None
        if one is not None and other is not None and one.offset != other.offset:
            one, other = (one, None) if one.offset < other.offset else (None, other)
        places[0] += one is not None
        places[1] += other is not None
        yield Pair(one, other)


def change_of(before: Verdict | None, after: Verdict | None) -> Literal["decision", "other", "missing", "extra"]:
    """In which way two verdicts that are not equal differ; one of them may be None."""
    if after is None:
        return "missing"
    if before is None:
        return "extra"
    return "other" if before.decision == after.decision else "decision"


class _Loss(msgspec.Struct):
    expected_loss_minor: int | None


_decode_loss = msgspec.json.Decoder(_Loss).decode


def _loss_minor(judgement: Judgement | None) -> int:
    return 0 if judgement is None else _decode_loss(judgement.value).expected_loss_minor or 0
