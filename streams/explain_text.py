"""An explanation as text, from left to right as the event went through the engine."""

from collections.abc import Iterator
from typing import Any

import msgspec

from features.money import EXPONENTS
from features.records import Verdict
from models.leading_codes import SMALLEST_CONTRIBUTION
from models.watch_limits import CLOSED, LAST_GOOD_MODEL
from models.wording import Money, money_text, number_text, value_text
from streams.account_text import account_text, history_table
from streams.explain import Explanation
from streams.explain_breaker import RulesView
from streams.explain_evidence import Evidence
from streams.explain_features import FeatureLine, ScoresView
from streams.explain_policy import PolicyView
from streams.plain_text import aligned, time_text


def explanation_text(told: Explanation, *, all_features: bool = False, most_events: int = 20) -> Iterator[str]:
    """Lines of an explanation.

    Args:
        told: what is to be told.
        all_features: also those that hardly moved the score.
        most_events: rows of the history.
    """
    money = Money(told.currency, EXPONENTS[told.currency])
    taken = "" if told.timestamp_ms is None else f", taken by the log at {time_text(told.timestamp_ms)}"
    yield f"{told.partition}:{told.offset}  {told.kind}{taken}"
    yield told.said
    if told.event is not None:
        yield from ("", "EVENT")
        yield from aligned([(name, _field_text(name, value)) for name, value in told.event.items()])
    if told.account is not None and told.event is not None:
        yield from ("", f"HISTORY of the account before it: {_counted(told)}")
        yield from account_text(told.account, money, as_of_ms=told.event["time_ms"], most=most_events)
    if told.scores is not None:
        yield from ("", "FEATURES that moved the score, in log-odds")
        yield from _features_text(told.features, money, all_features)
        yield from ("", "SCORES")
        yield from _scores_text(told.scores)
    if told.costs is not None:
        yield from ("", f"COSTS on average, in {told.currency}")
        yield from _costs_text(told.costs, money)
    if told.rules is not None:
        yield from ("", "RULES of the policy: the breaker is open (rules_only), no score counted")
        yield from _rules_text(told.rules)
    if told.verdict is not None:
        verdict = msgspec.json.decode(told.verdict, type=Verdict)
        if verdict.reasons:
            yield from ("", "REASONS")
            yield from aligned(
                [(reason.code, f"{reason.contribution:+.3f}", reason.text) for reason in verdict.reasons]
            )
        flags = f", flags {' '.join(verdict.flags)}" if verdict.flags else ""
        yield from ("", f"VERDICT of model {told.model[:16]}, policy {told.policy[:16]}{flags}")
        yield f"  {bytes(told.verdict).decode()}"
    if told.outcome is not None:
        yield from ("", "OUTCOME", f"  {bytes(told.outcome).decode()}")


def evidence_text(proof: Evidence, currency: str, as_of_ms: int) -> Iterator[str]:
    """Lines about one feature: every event that counts, none left out."""
    money = Money(currency, EXPONENTS[currency])
    yield f"{proof.feature}: {proof.definition}"
    agreement = {True: "they agree", False: "THEY DIFFER", None: "not compared, see below"}[proof.agrees]
    yield f"  served {_number(proof.served)}, recomputed {_number(proof.recomputed)} {proof.unit}: {agreement}"
    if len(proof.parts) > 1:
        yield f"  {proof.formula}, of:"
    for part in proof.parts:
        window = "" if part.window is None else f" in (t - {part.window}, t]"
        yield from ("", f"{part.what}{window} = {_number(part.value)}")
        if part.note:
            yield f"  {part.note}"
        if part.events:
            yield from history_table(part.events, money, as_of_ms=as_of_ms, most=len(part.events))


def _counted(told: Explanation) -> str:
    assert told.account is not None
    first_ms = told.account.first_ms
    if first_ms is None:
        return "none, this is its first event"
    later = f", {told.later} of them later in time, which do not count" if told.later else ""
    return f"{told.account.event_count} events since {time_text(first_ms)}{later}"


def _field_text(name: str, value: Any) -> str:
    return f"{value} ({time_text(value)})" if name.endswith("time_ms") else str(value)


def _features_text(lines: list[FeatureLine], money: Money, everything: bool) -> Iterator[str]:
    shown = [line for line in lines if everything or abs(line.contribution) >= SMALLEST_CONTRIBUTION]
    yield from aligned([_feature_row(line, money) for line in shown])
    if len(shown) < len(lines):
        yield f"  and {len(lines) - len(shown)} that moved it by less, or not at all (--all-features shows them)"


def _feature_row(line: FeatureLine, money: Money) -> tuple[str, ...]:
    beside = [
        f"{word} {_beside(value, line, money)}"
        for word, value in (("usually", line.usual), ("across accounts typically", line.typical))
        if value is not None
    ]
    value = line.text if line.value is not None else f"not known: {line.not_known}"
    return (f"{line.contribution:+.4f}", line.name, value, ", ".join(beside))


def _beside(value: float, line: FeatureLine, money: Money) -> str:
    """A number to compare with; a mean or median of codes, hours or weekdays is none of them, so it stays a number."""
    return value_text(value, line.unit, line.name, money) if line.unit in ("minor", "s") else number_text(value)


def _scores_text(scores: ScoresView) -> Iterator[str]:
    yield (
        f"  raw score {scores.raw:+.6f} log-odds = {scores.bias:+.6f} before anything is known "
        f"{scores.contributions:+.6f} by the features"
    )
    numbers = ", ".join(f"{name} {value:g}" for name, value in scores.calibration.items() if not isinstance(value, str))
    yield f"  score {scores.score:.6f}, calibrated ({scores.calibration['kind']}: {numbers})"
    if scores.anomaly is None:
        yield f"  no anomaly score: the detector ({scores.detector}) is not yet warm"
        return
    yield f"  anomaly {scores.anomaly:.6f} by {scores.detector}, which looks at:"
    yield from aligned(
        [
            (line.name, _number(line.value), f"within {number_text(line.low)} to {number_text(line.high)}")
            for line in scores.detector_inputs
        ],
        indent="    ",
    )


def _costs_text(costs: PolicyView, money: Money) -> Iterator[str]:
    source = "its amount" if costs.is_amount else "the policy's exposure for events of this kind"
    exposure, loss, insult = (
        money_text(minor, money) for minor in (costs.exposure_minor, costs.loss_minor, costs.insult_minor)
    )
    yield f"  at stake {exposure} ({source}); {loss} if it is fraud and passes, {insult} if a good customer is lost"
    rows = [("", "own cost", "+ lost customers", "+ passed fraud", "= expected", "")]
    for cost in costs.costs:
        terms = (cost.own_minor, cost.lost_customers_minor, cost.passed_fraud_minor, cost.total_minor)
        cells = ["not on offer" if term is None else money_text(term, money) for term in terms]
        rows.append((cost.outcome, cells[0], cells[1], cells[2], cells[3], "<- cheapest" if cost.is_cheapest else ""))
    yield from aligned(rows)
    changes = ", ".join(f"{turn.outcome} from {turn.score:.6f}" for turn in costs.turns)
    yield f"  for this amount, by score: {changes}"
    if costs.anomaly_step_up_at is not None:
        did = "; it did" if costs.raised_by_anomaly else ""
        yield f"  an anomaly of {costs.anomaly_step_up_at:g} or more turns an approval into a step-up{did}"
    if costs.breaker == LAST_GOOD_MODEL:
        yield "  the breaker is open (last_good_model): this model decides in place of the one that the log asks for"
    elif costs.breaker != CLOSED:
        yield f"  the breaker is open ({costs.breaker}): {costs.by_model} of the model became {costs.decision}"


def _rules_text(told: RulesView) -> Iterator[str]:
    yield from aligned(
        [
            (line.rule, _number(line.value), line.outcome, "<- the first that matches" if line.decided else "")
            for line in told.rules
        ]
    )
    yield f"  otherwise {told.otherwise}"


def _number(value: float | None) -> str:
    return "not known" if value is None else number_text(value)
