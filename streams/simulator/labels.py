"""What becomes known about events, from whom, and how much later: reports, chargebacks, reviews, and their mistakes."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streams.simulator import rows
from streams.simulator.rows import FRAUD_TYPES, Rows
from streams.simulator.scenario import DAY_MS, HOUR_MS, MINUTE_MS

NAMES = ("legit", "fraud")
LEGIT, FRAUD = range(2)
SOURCES = ("chargeback", "analyst", "customer", "refund", "reversal")
CHARGEBACK, ANALYST, CUSTOMER, REFUND, REVERSAL = range(5)

REPORTED_SHARE = 0.92
REPORTED_SHARE_DECLINED = 0.45
"""A refused payment cost nobody anything: fewer people report it."""
REVIEWED_SHARE = 0.003
"""Ordinary payments that an analyst looks at and finds legitimate; large ones more often."""
DISPUTED_SHARE = 0.0005
"""Ordinary payments charged back all the same: forgotten, or regretted."""
REVERSED_SHARE = 0.75
"""Those of them that are set right later."""
CLEARED_SHARE = 0.02
"""Fraud that an analyst first takes for legitimate, before its report comes."""


class Channel(NamedTuple):
    """One way in which fraud becomes known: its share, and the lognormal delay, median and sigma of the logarithm."""

    source: int
    share: float
    median_hours: float
    sigma: float


CHANNELS: dict[str, tuple[Channel, ...]] = {
    "card_not_present": (
        Channel(CHARGEBACK, 0.65, 20 * 24, 0.6),
        Channel(CUSTOMER, 0.30, 40, 1.0),
        Channel(REFUND, 0.05, 6 * 24, 0.7),
    ),
    "account_takeover": (Channel(CUSTOMER, 0.85, 9, 1.1), Channel(ANALYST, 0.15, 4, 1.0)),
    "identity": (Channel(ANALYST, 0.70, 24 * 24, 0.5), Channel(CUSTOMER, 0.30, 18 * 24, 0.7)),
    "first_party": (Channel(ANALYST, 0.80, 35 * 24, 0.35), Channel(CHARGEBACK, 0.20, 25 * 24, 0.5)),
    "scam": (Channel(CUSTOMER, 1.00, 60, 1.2),),
    "mule": (Channel(ANALYST, 1.00, 6 * 24, 0.8),),
    "card_testing": (
        Channel(CHARGEBACK, 0.55, 14 * 24, 0.6),
        Channel(ANALYST, 0.25, 8, 1.0),
        Channel(CUSTOMER, 0.15, 3 * 24, 1.0),
        Channel(REFUND, 0.05, 3 * 24, 0.7),
    ),
}

LABEL = np.dtype(
    [
        ("known_at_ms", np.int64),
        ("row", np.int64),  # position of the judged event
        ("label", np.int8),
        ("fraud_type", np.int8),  # -1 for legit
        ("source", np.int8),
    ]
)

Labels = NDArray[np.void]
"""Array of `LABEL` records, sorted by `known_at_ms`."""


def judge(events: Rows, arrived_ms: NDArray[np.int64], rng: Generator) -> Labels:
    """Labels of `events`; each becomes known at least one minute after its event arrived.

    Args:
        events: each event once.
        arrived_ms: when each arrived first, int64[n].
        rng: source of chance.
    """
    reports = _report(events, rng)
    cleared = reports[rng.random(len(reports)) < CLEARED_SHARE].copy()
    cleared["known_at_ms"] = _after(rng, len(cleared), 2, 0.7)
    cleared = cleared[cleared["known_at_ms"] < _delay_of(reports, cleared["row"])]
    cleared["label"], cleared["fraud_type"], cleared["source"] = LEGIT, -1, ANALYST
    disputes, reversals = _dispute(events, rng)
    labels = np.concatenate([cleared, reports, _review(events, rng), disputes, reversals])
    labels["known_at_ms"] = np.maximum(
        events["time_ms"][labels["row"]] + labels["known_at_ms"], arrived_ms[labels["row"]] + MINUTE_MS
    )
    return labels[np.lexsort((labels["row"], labels["known_at_ms"]))]


def _made(row: NDArray[np.int64], name: int) -> Labels:
    labels = np.zeros(len(row), dtype=LABEL)
    labels["row"], labels["label"], labels["fraud_type"] = row, name, -1
    return labels


def _after(rng: Generator, count: int, median_hours: float, sigma: float) -> NDArray[np.int64]:
    """Delays, kept in `known_at_ms` until they are added to the event's time."""
    return (rng.lognormal(np.log(median_hours), sigma, size=count) * HOUR_MS).astype(np.int64)


def _delay_of(reports: Labels, row: NDArray[np.int64]) -> NDArray[np.int64]:
    order = np.argsort(reports["row"], kind="stable")
    delays: NDArray[np.int64] = reports["known_at_ms"][order][np.searchsorted(reports["row"][order], row)]
    return delays


def _report(events: Rows, rng: Generator) -> Labels:
    fraud = np.flatnonzero(events["fraud_type"] >= 0)
    declined = events["authorization"][fraud] == rows.DECLINED
    share = np.where(declined, REPORTED_SHARE_DECLINED, REPORTED_SHARE)
    labels = _made(fraud[rng.random(len(fraud)) < share], FRAUD)
    labels["fraud_type"] = events["fraud_type"][labels["row"]]
    for number, name in enumerate(FRAUD_TYPES):
        where = np.flatnonzero(labels["fraud_type"] == number)
        channels = CHANNELS[name]
        chosen = rng.choice(len(channels), size=len(where), p=[channel.share for channel in channels])
        for index, channel in enumerate(channels):
            some = where[chosen == index]
            labels["source"][some] = channel.source
            labels["known_at_ms"][some] = _after(rng, len(some), channel.median_hours, channel.sigma)
    return labels


def _ordinary_payments(events: Rows) -> NDArray[np.int64]:
    return np.flatnonzero((events["kind"] == rows.PAYMENT) & (events["fraud_type"] < 0))


def _review(events: Rows, rng: Generator) -> Labels:
    ordinary = _ordinary_payments(events)
    rank = np.empty(len(ordinary))
    rank[np.argsort(events["cents"][ordinary], kind="stable")] = np.arange(len(ordinary)) / max(1, len(ordinary))
    # the third power of the rank has a mean of 1/4: a large payment is looked at four times as often as the average
    labels = _made(ordinary[rng.random(len(ordinary)) < REVIEWED_SHARE * 4.0 * rank**3], LEGIT)
    labels["source"] = ANALYST
    labels["known_at_ms"] = _after(rng, len(labels), 5, 1.0)
    return labels


def _dispute(events: Rows, rng: Generator) -> tuple[Labels, Labels]:
    ordinary = _ordinary_payments(events)
    at_merchant = (events["merchant"][ordinary] >= 0) & (events["authorization"][ordinary] != rows.DECLINED)
    ordinary = ordinary[at_merchant]
    disputes = _made(ordinary[rng.random(len(ordinary)) < DISPUTED_SHARE], FRAUD)
    disputes["source"] = CHARGEBACK
    disputes["fraud_type"] = rows.CARD_NOT_PRESENT
    disputes["known_at_ms"] = _after(rng, len(disputes), 22 * 24, 0.6)
    reversals = disputes[rng.random(len(disputes)) < REVERSED_SHARE].copy()
    reversals["known_at_ms"] += _after(rng, len(reversals), 21 * 24, 0.4) + DAY_MS
    reversals["label"], reversals["fraud_type"], reversals["source"] = LEGIT, -1, REVERSAL
    return disputes, reversals
