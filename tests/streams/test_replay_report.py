"""What a replay tells people: every change in a few lines, the rest counted."""

import io

from rich.console import Console

from models.wording import Money
from streams.replay import ReplaySummary
from streams.replay_report import (
    FIRST_CHANGES,
    FirstChanges,
    as_json,
    counts_line,
    diff_line,
    show_changes,
    show_groups,
)
from streams.verdict_diff import ChangedVerdict, Diff, Moved, Side

EUR = Money("EUR", 2)


def side(decision: str, score: float, loss_minor: int, threshold: float | None = 0.25) -> Side:
    return Side(
        decision=decision, score=score, expected_loss_minor=loss_minor, threshold=threshold, model="m", policy="p"
    )


def changed(number: int, **fields: object) -> ChangedVerdict:
    whole = {
        "event_id": f"[red]p{number}", "account_id": "a", "time_ms": 0, "partition": 0, "offset": number,
        "change": "decision", "attack": "scam", "amount_minor": 123_456, "before": side("approve", 0.2, 100),
        "after": side("decline", 0.5, 250), "moved": [Moved("ratio", 0.5, -1.25)],
    }  # fmt: skip
    return ChangedVerdict(**(whole | fields))  # type: ignore[arg-type]


def shown(changes: FirstChanges, diff: Diff) -> str:
    file = io.StringIO()
    console = Console(file=file, width=80)
    show_changes(console, changes, EUR)
    show_groups(console, diff, EUR)
    return file.getvalue()


def test_a_change_in_a_few_lines() -> None:
    changes, diff = FirstChanges(everything=False), Diff(2, 1_000, 1_150)
    for each in (changed(1), changed(2, change="other")):
        changes.take(each)
    diff.count(changed(1))
    text = shown(changes, diff)
    assert text.startswith(
        "[red]p1: approve -> decline, scam, 1,234.56 EUR\n"
        "    score 0.200000 -> 0.500000, turns at 0.250000; expected loss 1.00 EUR -> 2.50 EUR\n"
        "    ratio +0.5 -> -1.25\n"
    )
    assert "p2" not in text
    assert "+1.50 EUR" in text
    assert "1 have another decision (1,234.56 EUR moved)" in diff_line(diff, EUR)


def test_one_side_only() -> None:
    changes = FirstChanges(everything=False)
    changes.take(changed(1, change="missing", after=None, amount_minor=None, moved=[]))
    assert "approve -> no verdict, scam, -\n" in shown(changes, Diff())


def test_the_first_are_shown_and_the_others_counted_unless_all_are_asked_for() -> None:
    few, every = FirstChanges(everything=False), FirstChanges(everything=True)
    for number in range(FIRST_CHANGES + 1_003):
        few.take(changed(number))
        every.take(changed(number, change="other"))
    assert "and 1,003 more" in shown(few, Diff())
    assert shown(every, Diff()).count("scam") == FIRST_CHANGES + 1_003


def test_nothing_changed() -> None:
    assert diff_line(Diff(equal=7), EUR) == "nothing changed: 7 verdicts have the same bytes"
    summary = ReplaySummary([], fresh_detectors=[1], markers_passed_over=2, diff=Diff(equal=7))
    assert "passed over: 2" in counts_line(summary)
    assert "began anew" in counts_line(summary)
    assert as_json(summary)["diff"]["groups"] == []
