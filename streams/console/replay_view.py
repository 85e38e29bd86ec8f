"""What a replay brought to light, for a page. Pure."""

from dataclasses import dataclass

from models.wording import Money, money_text
from streams.console import words
from streams.console.replay_run import Replayed
from streams.replay_report import counts_line, diff_line
from streams.verdict_diff import ChangedVerdict, Side


@dataclass(frozen=True, slots=True)
class GroupRow:
    """Changed verdicts of one kind: what they were and are, which attack, and the money."""

    before: str
    before_css: str
    after: str
    after_css: str
    attack: str
    count: str
    part: float
    amount: str
    loss: str


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One changed verdict."""

    link: str
    event_id: str
    before: str
    before_css: str
    after: str
    after_css: str
    scores: str
    attack: str
    amount: str
    moved: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ReplayView:
    """What the page shows."""

    counts: str
    said: str
    changed: int
    equal: int
    ranges: list[tuple[int, int, int]]
    groups: list[GroupRow]
    changes: list[ChangeRow]
    model: str


def replay_view(replayed: Replayed) -> ReplayView:
    """The page about a replay that is done."""
    summary, money = replayed.summary, replayed.money
    diff = summary.diff
    assert diff is not None, "the console's replays compare"
    largest = max((total.count for total in diff.groups.values()), default=1)
    groups = [
        GroupRow(
            before=_decision(group.before),
            before_css=group.before,
            after=_decision(group.after),
            after_css=group.after,
            attack=group.attack.replace("_", " "),
            count=f"{total.count:,}",
            part=total.count / largest,
            amount=money_text(total.amount_minor, money),
            loss=("+" if total.expected_loss_minor > 0 else "") + money_text(total.expected_loss_minor, money),
        )
        for group, total in sorted(diff.groups.items(), key=lambda item: (-item[1].count, item[0]))
    ]
    return ReplayView(
        counts=counts_line(summary),
        said=diff_line(diff, money),
        changed=diff.changed,
        equal=diff.equal,
        ranges=[(part.partition, part.start, part.end) for part in summary.ranges],
        groups=groups,
        changes=[_change(changed, money) for changed in replayed.changes],
        model=replayed.model[:16],
    )


def _change(changed: ChangedVerdict, money: Money) -> ChangeRow:
    before, after = changed.before, changed.after
    return ChangeRow(
        link=f"/event/{changed.partition}/{changed.offset}",
        event_id=words.row_id(changed.event_id),
        before=_decision(before.decision if before else ""),
        before_css=before.decision if before else "",
        after=_decision(after.decision if after else ""),
        after_css=after.decision if after else "",
        scores=f"{_score(before)} → {_score(after)}",
        attack=changed.attack.replace("_", " "),
        amount="–" if changed.amount_minor is None else money_text(changed.amount_minor, money),
        moved=[(each.feature, f"{each.before:+.2f} → {each.after:+.2f}") for each in changed.moved],
    )


def _decision(name: str) -> str:
    return words.DECISION_WORDS.get(name, name) if name else "no verdict"


def _score(side: Side | None) -> str:
    return words.score(None if side is None else side.score)
