"""What a replay tells at its end: a line of counts, tables of what changed, or the same as one object."""

from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from models.wording import Money, money_text
from streams.replay import ReplaySummary
from streams.verdict_diff import ChangedVerdict, Diff, Group, Side, Total

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
        f"{summary.records:,} records in {len(summary.ranges)} ranges: {summary.verdicts:,} verdicts ({decisions or 0})",
        f"{summary.duplicates:,} duplicates, {refused:,} refused",
    ]
    if summary.markers_passed_over:
        parts.append(f"{summary.markers_passed_over:,} model markers were passed over")
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
    """A table of changed verdicts, and how many are not in it."""
    if not changes.kept:
        return
    table = Table(title="changed verdicts, in the order of the log")
    table.add_column("event", overflow="fold")
    table.add_column("attack")
    table.add_column("amount", justify="right")
    table.add_column("decision")
    table.add_column("score")
    table.add_column("turns at")
    table.add_column("expected loss", justify="right")
    table.add_column("moved most (log-odds)", overflow="fold")
    for changed in changes.kept:
        before, after = changed.before, changed.after
        table.add_row(
            changed.event_id,
            changed.attack,
            "?" if changed.amount_minor is None else money_text(changed.amount_minor, money),
            _both(before.decision if before else "no verdict", after.decision if after else "no verdict"),
            _both(_score(before.score if before else None), _score(after.score if after else None)),
            _both(_score(before.threshold if before else None), _score(after.threshold if after else None)),
            _both(_loss(before, money), _loss(after, money)),
            "\n".join(f"{each.feature} {each.before:+.3g} -> {each.after:+.3g}" for each in changed.moved),
        )
    console.print(table)
    if changes.wanted > len(changes.kept):
        console.print(f"and {changes.wanted - len(changes.kept):,} more: --all shows them, --diff-out writes them")


def show_groups(console: Console, diff: Diff, money: Money) -> None:
    """A table of what changed, by decisions and attack, with its money."""
    if not diff.groups:
        return
    table = Table(title="what changed")
    for name in ("decision", "attack"):
        table.add_column(name)
    for name in ("verdicts", "amount at stake", "expected loss changes by"):
        table.add_column(name, justify="right")
    for group, total in _sorted(diff):
        table.add_row(
            _both(group.before or "no verdict", group.after or "no verdict"),
            group.attack,
            f"{total.count:,}",
            money_text(total.amount_minor, money),
            money_text(total.expected_loss_minor, money),
        )
    table.add_section()
    change_minor = diff.expected_loss_after_minor - diff.expected_loss_before_minor
    amount_minor = sum(total.amount_minor for total in diff.groups.values())
    table.add_row("all", "", f"{diff.changed:,}", money_text(amount_minor, money), money_text(change_minor, money))
    console.print(table)


def _both(before: str, after: str) -> str:
    return before if before == after else f"{before} -> {after}"


def _score(score: float | None) -> str:
    return "-" if score is None else f"{score:.6f}"


def _loss(side: Side | None, money: Money) -> str:
    return "-" if side is None or side.expected_loss_minor is None else money_text(side.expected_loss_minor, money)


def _sorted(diff: Diff) -> list[tuple[Group, Total]]:
    return sorted(diff.groups.items())
