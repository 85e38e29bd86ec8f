"""One event from left to right: event, history, features, scores, reasons, decision. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from features.events import LabelIntake
from features.money import EXPONENTS
from features.records import Reason, Verdict
from models.leading_codes import SMALLEST_CONTRIBUTION
from models.wording import Money, money_text, number_text, value_text
from streams.account_view import AccountView
from streams.console import words
from streams.console.timeline import HistoryRow, history_rows
from streams.explain import Explanation
from streams.explain_features import FeatureLine
from streams.explain_policy import PolicyView
from streams.explain_published import Compared

MOST_FEATURES: Final = 12
MOST_HISTORY: Final = 25
_BEHAVIOUR: Final = "session."
_NO_MIDDLE: Final = ("code", "hour", "weekday")
"""Units of which a median says nothing."""


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """One feature as served, beside what is usual.

    Attributes:
        name: of the feature.
        definition: in one sentence.
        value: in words.
        usual: the account's own usual value in words; empty if there is none.
        typical: the median over legitimate training events in words; empty if there is none.
        contribution: in log-odds, signed.
        bar: its part of the largest contribution, 0 to 1.
        raises: whether it raised the score.
    """

    name: str
    definition: str
    value: str
    usual: str
    typical: str
    contribution: str
    bar: float
    raises: bool


@dataclass(frozen=True, slots=True)
class CostRow:
    """What one outcome costs on average."""

    outcome: str
    css: str
    own: str
    customers: str
    fraud: str
    total: str
    bar: float
    is_cheapest: bool


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """One reason of the verdict."""

    code: str
    text: str
    feature: str
    contribution: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict for people.

    Attributes:
        decision: in words.
        css: its class.
        score: of the model.
        anomaly: of the detector.
        expected_loss: if it passed; empty if the currency is not known.
        model: first digits.
        policy: first digits.
        flags: what a reader should know.
        reasons: most telling first.
    """

    decision: str
    css: str
    score: str
    anomaly: str
    expected_loss: str
    model: str
    policy: str
    flags: Sequence[str]
    reasons: list[ReasonRow]


@dataclass(frozen=True, slots=True)
class EventView:
    """What the page shows.

    Attributes:
        place: ``partition:offset``.
        kind: of record.
        said: what became of it, in one sentence.
        taken: when the log took it.
        fields: of the event, masked where personal.
        behaviour: how the person behaved in the session.
        history_said: how much past there is.
        history: the newest rows of it.
        features: those that moved the score most.
        more_features: how many moved it less.
        score_steps: from nothing known to the score, in words.
        inputs: what the detector looked at.
        costs: of each outcome.
        costs_said: what is at stake.
        turns: at which scores the decision changes.
        judgement: the verdict; None if the record got none.
        published: beside what was published.
        is_proved: whether the published bytes are these; None if nothing was compared.
        differences: from what was published.
        verdict_json: the bytes as text.
    """

    place: str
    kind: str
    said: str
    taken: str
    fields: list[tuple[str, str]]
    behaviour: list[tuple[str, str]]
    history_said: str
    history: list[HistoryRow]
    features: list[FeatureRow]
    more_features: int
    score_steps: list[tuple[str, str]]
    inputs: list[tuple[str, str, str]]
    costs: list[CostRow]
    costs_said: str
    turns: list[tuple[str, str, str]]
    judgement: Judgement | None
    published: str
    is_proved: bool | None
    differences: list[tuple[str, str, str]] = field(default_factory=list)
    verdict_json: str = ""


def event_view(told: Explanation, published: Compared | None) -> EventView:
    """The page about one record."""
    money = Money(told.currency, EXPONENTS[told.currency])
    shown = [line for line in told.features if abs(line.contribution) >= SMALLEST_CONTRIBUTION][:MOST_FEATURES]
    verdict = None if told.verdict is None else msgspec.json.decode(told.verdict, type=Verdict)
    as_of_ms = None if told.event is None else int(told.event["time_ms"])
    rows = field_rows(told.event or {})
    return EventView(
        place=f"{told.partition}:{told.offset}",
        kind=told.kind,
        said=told.said,
        taken=words.moment(told.timestamp_ms),
        fields=[row for row in rows if not row[0].startswith(_BEHAVIOUR)],
        behaviour=[(name.removeprefix(_BEHAVIOUR), text) for name, text in rows if name.startswith(_BEHAVIOUR)],
        history_said=_history_said(told.account, told.later),
        history=history_rows(told.account.events, money, as_of_ms, MOST_HISTORY) if told.account else [],
        features=feature_rows(shown, money),
        more_features=len(told.features) - len(shown),
        score_steps=_score_steps(told),
        inputs=_inputs(told),
        costs=cost_rows(told.costs, money) if told.costs else [],
        costs_said=_costs_said(told.costs, money) if told.costs else "",
        turns=_turns(told.costs) if told.costs else [],
        judgement=None if verdict is None else judgement(verdict, money),
        published="" if published is None else published.said,
        is_proved=None if published is None else published.same,
        differences=[
            (each.path, str(each.published), str(each.recomputed))
            for each in (published.differences if published else [])
        ],
        verdict_json="" if told.verdict is None else bytes(told.verdict).decode(),
    )


def field_rows(fields: dict[str, Any]) -> list[tuple[str, str]]:
    """Fields of an event for people.

    >>> field_rows({"event_id": "e1", "time_ms": 0, "session": {"keys": 3}})
    [('event_id', 'e1'), ('time_ms', '1970-01-01 00:00:00 (0)'), ('session.keys', '3')]
    """
    rows = []
    for name, value in fields.items():
        if isinstance(value, dict):
            rows += [(f"{name}.{inner}", text) for inner, text in field_rows(value)]
        elif name.endswith("time_ms") or name == "known_at_ms":
            rows.append((name, f"{words.moment(value)} ({value})"))
        else:
            rows.append((name, words.shown_id(value) if isinstance(value, str) else str(value)))
    return rows


def judgement(verdict: Verdict, money: Money | None) -> Judgement:
    """A verdict for people; without `money` amounts are not told."""
    loss = verdict.expected_loss_minor
    return Judgement(
        decision=words.DECISION_WORDS.get(verdict.decision, verdict.decision),
        css=verdict.decision,
        score=words.score(verdict.score),
        anomaly=words.score(verdict.anomaly),
        expected_loss="" if loss is None or money is None else money_text(loss, money),
        model=verdict.model,
        policy=verdict.policy,
        flags=list(verdict.flags),
        reasons=[_reason(reason) for reason in verdict.reasons],
    )


def feature_rows(lines: Sequence[FeatureLine], money: Money) -> list[FeatureRow]:
    """Features in their order, each with the length of its bar."""
    largest = max((abs(line.contribution) for line in lines), default=0.0)
    return [
        FeatureRow(
            name=line.name,
            definition=line.definition,
            value=line.text if line.value is not None else f"not known: {line.not_known}",
            usual="" if line.usual is None else _beside(line.usual, line, money),
            typical="" if line.typical is None or line.unit in _NO_MIDDLE else _beside(line.typical, line, money),
            contribution=f"{line.contribution:+.3f}",
            bar=abs(line.contribution) / largest if largest else 0.0,
            raises=line.contribution > 0,
        )
        for line in lines
    ]


def cost_rows(costs: PolicyView, money: Money) -> list[CostRow]:
    """Every outcome, from the mildest."""
    totals = [cost.total_minor for cost in costs.costs if cost.total_minor is not None]
    highest = max(totals, default=0.0)
    rows = []
    for cost in costs.costs:
        terms = (cost.own_minor, cost.lost_customers_minor, cost.passed_fraud_minor, cost.total_minor)
        own, customers, fraud, total = ("not on offer" if term is None else money_text(term, money) for term in terms)
        part = cost.total_minor / highest if cost.total_minor is not None and highest else 0.0
        name = words.DECISION_WORDS.get(cost.outcome, cost.outcome)
        rows.append(CostRow(name, cost.outcome, own, customers, fraud, total, part, cost.is_cheapest))
    return rows


def label_said(label: LabelIntake | None) -> str:
    """What is known of an event by now.

    >>> label_said(LabelIntake(judged_event_id="p1", account_id="a1", label="fraud", known_at_ms=0, source="analyst"))
    'fraud, says analyst, 1970-01-01 00:00:00'
    """
    if label is None:
        return ""
    kind = f" ({label.fraud_type.replace('_', ' ')})" if label.fraud_type else ""
    return f"{label.label}{kind}, says {label.source}, {words.moment(label.known_at_ms)}"


def _reason(reason: Reason) -> ReasonRow:
    return ReasonRow(reason.code, reason.text, reason.feature or "", f"{reason.contribution:+.2f}")


def _beside(value: float, line: FeatureLine, money: Money) -> str:
    """A number to compare with; a mean or median of codes, hours or weekdays is none of them, so it stays a number."""
    return value_text(value, line.unit, line.name, money) if line.unit in ("minor", "s") else number_text(value)


def _history_said(account: AccountView | None, later: int) -> str:
    if account is None:
        return ""
    if account.first_ms is None:
        return "No past: this is the account's first event."
    after = f" {later} of them are later in time and do not count." if later else ""
    return f"{account.event_count:,} events since {words.moment(account.first_ms)}.{after}"


def _score_steps(told: Explanation) -> list[tuple[str, str]]:
    scores = told.scores
    if scores is None:
        return []
    numbers = ", ".join(f"{name} {value:g}" for name, value in scores.calibration.items() if not isinstance(value, str))
    anomaly = "not yet warm" if scores.anomaly is None else f"{scores.anomaly:.6f}"
    return [
        ("before anything is known", f"{scores.bias:+.4f} log-odds"),
        ("by the features", f"{scores.contributions:+.4f}"),
        ("raw score", f"{scores.raw:+.4f}"),
        (f"calibrated ({scores.calibration['kind']}: {numbers})", f"{scores.score:.6f}"),
        (f"anomaly, by {scores.detector}", anomaly),
    ]


def _inputs(told: Explanation) -> list[tuple[str, str, str]]:
    if told.scores is None or told.scores.anomaly is None:
        return []
    return [
        (
            line.name,
            "not known" if line.value is None else number_text(line.value),
            f"{number_text(line.low)} to {number_text(line.high)}",
        )
        for line in told.scores.detector_inputs
    ]


def _costs_said(costs: PolicyView, money: Money) -> str:
    source = "its amount" if costs.is_amount else "the policy's exposure for events of this kind"
    raised = " An unusual pattern turned an approval into a step-up." if costs.raised_by_anomaly else ""
    stake, loss, insult = (
        money_text(minor, money) for minor in (costs.exposure_minor, costs.loss_minor, costs.insult_minor)
    )
    return (
        f"At stake {stake} ({source}): {loss} are lost if it is fraud and passes, {insult} if a good customer is "
        f"turned away.{raised}"
    )


def _turns(costs: PolicyView) -> list[tuple[str, str, str]]:
    return [
        (words.DECISION_WORDS.get(turn.outcome, turn.outcome), turn.outcome, f"from {turn.score:.6f}")
        for turn in costs.turns
    ]
