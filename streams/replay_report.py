"""What a replay tells at its end: a line of counts, tables of what changed, or the same as one object."""

from typing import Any

import msgspec
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from models.wording import Money, money_text
from streams.replay import ReplaySummary
from streams.verdict_diff import ChangedVerdict, Diff, Group, Total

FIRST_CHANGES = 20
"""Changed verdicts shown unless all are asked for."""


class FirstChanges:
    """Keeps the changes to show: the first with another decision or with one side only, or all of any kind.

    Attributes:
        kept: to show.
        wanted: how many there were of that kind.
    """

    def __init__(self, everything: bool) -> None:
        self._everything = everything
        self.kept: list[ChangedVerdict] = []
        self.wanted = 0

    def take(self, changed: ChangedVerdict) -> None:
        """Keep it, if it is to be shown."""
        if self._everything or changed.change != "other":
            self.wanted += 1
            if self._everything or len(self.kept) < FIRST_CHANGES:
                self.kept.append(changed)


def as_json(summary: ReplaySummary) -> dict[str, Any]:
    """The summary as one object; the groups of a comparison are a list."""
    told: dict[str, Any] = msgspec.to_builtins(
        {name: getattr(summary, name) for name in ReplaySummary.__slots__ if name != "diff"}
    )
    told["ranges"] = [part._asdict() for part in summary.ranges]
    diff = summary.diff
    if diff is not None:
        told["diff"] = {
            "equal": diff.equal,
            "changed": diff.changed,
            "expected_loss_before_minor": diff.expected_loss_before_minor,
            "expected_loss_after_minor": diff.expected_loss_after_minor,
            "groups": [{**group._asdict(), **msgspec.to_builtins(total)} for group, total in _sorted(diff)],
        }
    return told


def counts_line(summary: ReplaySummary) -> str:
    """The counts in words."""
    decisions = ", ".join(f"{count:,} {name}" for name, count in summary.decisions.items() if count)
    refused = sum(summary.dead_letters.values())
    parts = [
        f"{summary.records:,} records replayed: {summary.verdicts:,} verdicts ({decisions or 'none'})",
        f"{summary.duplicates:,} duplicates, {refused:,} refused",
    ]
    if summary.markers_passed_over:
        parts.append(f"markers passed over: {summary.markers_passed_over:,}")
    if summary.fresh_detectors:
        parts.append("the online detector began anew, because the model given has another one")
    return "; ".join(parts)


def diff_line(diff: Diff, money: Money) -> str:
    """What a comparison comes to, in one line."""
    if not diff.changed:
        return f"nothing changed: {diff.equal:,} verdicts have the same bytes"
    moved = [total for group, total in diff.groups.items() if group.before != group.after]
    return (
        f"{diff.changed:,} verdicts changed, {diff.equal:,} have the same bytes; "
        f"{sum(total.count for total in moved):,} have another decision "
        f"({money_text(sum(total.amount_minor for total in moved), money)} moved); expected loss if everything passed "
        f"{money_text(diff.expected_loss_before_minor, money)} -> {money_text(diff.expected_loss_after_minor, money)}"
    )


def show_changes(console: Console, changes: FirstChanges, money: Money) -> None:
    """Some lines for each changed verdict, and how many more there are."""
    for changed in changes.kept:
        console.print("\n".join(_lines(changed, money)), markup=False, highlight=False, soft_wrap=True)
    if changes.wanted > len(changes.kept):
        console.print(f"and {changes.wanted - len(changes.kept):,} more: --all shows them, --diff-out writes them")


def _lines(changed: ChangedVerdict, money: Money) -> list[str]:
    sides = (changed.before, changed.after)
    decision = _both(*("no verdict" if side is None else side.decision for side in sides))
    score = _both(*(_number(None if side is None else side.score) for side in sides))
    loss = _both(*(_money(None if side is None else side.expected_loss_minor, money) for side in sides))
    turns_at = [None if side is None else side.threshold for side in sides]
    if any(place is not None for place in turns_at):
        score += f", turns at {_both(*map(_number, turns_at))}"
    return [
        f"{changed.event_id}: {decision}, {changed.attack}, {_money(changed.amount_minor, money)}",
        f"    score {score}; expected loss {loss}",
        *(f"    {each.feature} {each.before:+.3g} -> {each.after:+.3g}" for each in changed.moved),
    ]


def show_groups(console: Console, diff: Diff, money: Money) -> None:
    """A table of what changed, by decisions and attack, with its money."""
    if not diff.groups:
        return
    table = Table(title="what changed", box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("decision", "attack"):
        table.add_column(name)
    for name in ("verdicts", "amount", "expected loss"):
        table.add_column(name, justify="right", overflow="fold")
    for group, total in _sorted(diff):
        table.add_row(
            _both(group.before or "no verdict", group.after or "no verdict"),
            group.attack,
            f"{total.count:,}",
            money_text(total.amount_minor, money),
            _change(total.expected_loss_minor, money),
        )
    table.add_section()
    change_minor = diff.expected_loss_after_minor - diff.expected_loss_before_minor
    amount_minor = sum(total.amount_minor for total in diff.groups.values())
    table.add_row("all", "", f"{diff.changed:,}", money_text(amount_minor, money), _change(change_minor, money))
    console.print(table)


def _both(before: str, after: str) -> str:
    return before if before == after else f"{before} -> {after}"


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:.6f}"


def _change(minor: int, money: Money) -> str:
    return ("+" if minor > 0 else "") + money_text(minor, money)


def _money(minor: int | None, money: Money) -> str:
    return "-" if minor is None else money_text(minor, money)


def _sorted(diff: Diff) -> list[tuple[Group, Total]]:
    return sorted(diff.groups.items())
