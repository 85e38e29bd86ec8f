"""Verdicts and queue entries as rows of a table. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from features.records import Verdict
from models.wording import Money, money_text
from streams.console import words
from streams.console.label_book import LabelBook
from streams.console.review_queue import Queue
from streams.console.verdict_book import Row


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One verdict.

    Attributes:
        link: page of its event.
        account_link: page of its account.
        event_id: masked where it looks personal.
        account_id: likewise.
        time: of the event.
        published: when the verdict was.
        decision: in words.
        css: its class.
        score: of the model.
        loss: expected if it passes.
        reason: the first, in words; empty without one.
        code: of that reason.
        label: what was learned since.
        flags: what a reader should know.
    """

    link: str
    account_link: str
    event_id: str
    account_id: str
    time: str
    published: str
    decision: str
    css: str
    score: str
    loss: str
    reason: str
    code: str
    label: str
    flags: str


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One entry of the review queue.

    Attributes:
        row: its verdict.
        value: what a look is expected to save.
        part: of the largest such value, 0 to 1.
        others: further verdicts of the account that wait.
        place: of its event, ``partition:offset``.
    """

    row: VerdictRow
    value: str
    part: float
    others: int
    place: str


def verdict_rows(rows: Iterable[Row], labels: LabelBook, money: Money) -> list[VerdictRow]:
    """Rows in their order."""
    return [verdict_row(row.verdict, row.published_ms, labels, money) for row in rows]


def verdict_row(verdict: Verdict, published_ms: int | None, labels: LabelBook, money: Money) -> VerdictRow:
    """One row; addresses are made of numbers alone, because ids are whatever a producer wrote."""
    label = labels.of(verdict.event_id, verdict.account_id)
    first = verdict.reasons[0] if verdict.reasons else None
    place = f"{verdict.at.partition}/{verdict.at.offset}"
    loss = verdict.expected_loss_minor
    return VerdictRow(
        link=f"/event/{place}",
        account_link=f"/account/{place}",
        event_id=words.row_id(verdict.event_id),
        account_id=words.row_id(verdict.account_id),
        time=words.moment(verdict.time_ms),
        published=words.moment(published_ms),
        decision=words.DECISION_WORDS.get(verdict.decision, words.shown_id(verdict.decision)),
        css=verdict.decision if verdict.decision in words.DECISION_WORDS else "",
        score=words.score(verdict.score),
        loss="–" if loss is None else money_text(loss, money),
        reason="" if first is None else first.text,
        code="" if first is None else first.code,
        label="" if label is None else label.label,
        flags=" ".join(verdict.flags),
    )


def queue_rows(queue: Queue, money: Money) -> list[QueueRow]:
    """The queue in its order."""
    largest = max((entry.value_minor for entry in queue.entries), default=0.0)
    nothing = LabelBook(0)
    return [
        QueueRow(
            row=verdict_row(entry.verdict, None, nothing, money),
            value=money_text(entry.value_minor, money),
            part=entry.value_minor / largest if largest else 0.0,
            others=entry.others,
            place=f"{entry.verdict.at.partition}:{entry.verdict.at.offset}",
        )
        for entry in queue.entries
    ]
