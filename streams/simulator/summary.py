"""What a simulation holds, in numbers: events by type, fraud by attack, labels by how late they come."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from streams.simulator import clock, labels, money, rows
from streams.simulator.scenario import HOUR_MS
from streams.simulator.timeline import Timeline


def summarise(timeline: Timeline) -> dict[str, Any]:
    """Counts and shares, ready for JSON. Times are ISO 8601, delays are hours, money is whole euros."""
    events, arrival, known = timeline.events, timeline.arrival, timeline.labels
    payment = events["kind"] == rows.PAYMENT
    fraud = events["fraud_type"] >= 0
    first = ~arrival.repeats
    late = arrival.at_ms[first] - events["time_ms"][arrival.row[first]] >= clock.LATE_AFTER_MS
    fraud_payments = int((payment & fraud).sum())
    reported = np.unique(known["row"][known["label"] == labels.FRAUD])
    reported_share = round(float(np.isin(np.flatnonzero(fraud), reported).mean()), 4) if fraud.any() else None
    return {
        "events": len(arrival.row),
        "accounts": timeline.scenario.accounts,
        "start": _iso(timeline.scenario.start_ms),
        "end": _iso(timeline.scenario.end_ms),
        "duplicates": int(arrival.repeats.sum()),
        "late": int(late.sum()),
        "events_by_type": {name: int((events["kind"] == kind).sum()) for kind, name in enumerate(rows.KINDS)},
        "fraud_payments": fraud_payments,
        "fraud_share_of_payments": round(fraud_payments / max(1, int(payment.sum())), 6),
        "attacks": _by_attack(timeline),
        "sale": {"start": _iso(timeline.sale.start_ms), "end": _iso(timeline.sale.end_ms),
                 "payments": int((events["attack"] == rows.SALE).sum())},
        "labels": len(known),
        "labels_by_source": {
            name: int((known["source"] == number).sum()) for number, name in enumerate(labels.SOURCES)
        },
        "fraud_reported_share": reported_share,
        "label_delay_hours": _delays(timeline),
    }  # fmt: skip


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat().replace("+00:00", "Z")


def _by_attack(timeline: Timeline) -> dict[str, dict[str, int]]:
    events = timeline.events
    euros = money.euro_cents(events) / 100
    result = {}
    for number, name in enumerate(rows.ATTACK_NAMES):
        if number in (rows.NONE, rows.SALE):
            continue
        part = events["attack"] == number
        fraud = part & (events["kind"] == rows.PAYMENT) & (events["fraud_type"] >= 0)
        result[name] = {
            "instances": len(np.unique(events["attack_number"][part])),
            "events": int(part.sum()),
            "fraud_payments": int(fraud.sum()),
            "declined": int((events["authorization"][fraud] == rows.DECLINED).sum()),
            "accounts": len(np.unique(events["account"][part])),
            "amount_eur": int(euros[fraud].sum()),
        }
    return result


def _delays(timeline: Timeline) -> dict[str, dict[str, float]]:
    """Labels of fraud by the type they state, with quantiles of how long after its event each is known."""
    known = timeline.labels[timeline.labels["label"] == labels.FRAUD]
    hours = (known["known_at_ms"] - timeline.events["time_ms"][known["row"]]) / HOUR_MS
    result = {}
    for number, name in enumerate(rows.FRAUD_TYPES):
        some = hours[known["fraud_type"] == number]
        if len(some):
            p10, p50, p90 = np.quantile(some, [0.1, 0.5, 0.9]).round(1).tolist()
            result[name] = {"labels": len(some), "p10": p10, "p50": p50, "p90": p90}
    return result
