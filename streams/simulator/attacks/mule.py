"""Mule: persuaded victims pay one account of the platform, which sends the money on at once."""

import numpy as np

from streams.simulator import behaviour, rows
from streams.simulator.attacks.script import Script
from streams.simulator.attacks.stage import Stage
from streams.simulator.merchants import QUASI_CASH
from streams.simulator.scenario import DAY_MS, HOUR_MS

_EXCHANGES = np.array([QUASI_CASH])


def launch(stage: Stage, script: Script) -> None:
    """Fan-in of 3 to 11 payers (their payments are scams), each wave followed by fan-out (the mule's payments)."""
    lasts_ms = stage.shortened(stage.lognormal(1.5, 0.7) * DAY_MS)
    begin_ms = stage.begin(lasts_ms + 6 * HOUR_MS)
    mule = stage.recruit(begin_ms)
    payers = stage.whole(3, 11)
    typical_cents = stage.lognormal(14_000, 0.6)
    arrivals = sorted(begin_ms + stage.uniform(0, lasts_ms) for _ in range(payers))
    exits = [stage.outside_payee() for _ in range(stage.whole(1, 3))]
    received = 0.0
    for number, arrival_ms in enumerate(arrivals):
        received += _persuade(stage, script, stage.victim(arrival_ms), arrival_ms, mule, typical_cents)
        if number == payers - 1 or stage.chance(0.35):
            _pass_on(stage, script, mule, arrival_ms + stage.uniform(0.1, 2.0) * HOUR_MS, received, exits)
            received = 0.0


def _persuade(stage: Stage, script: Script, account: int, at_ms: float, mule: int, typical_cents: float) -> float:
    """The victim pays with its own hands, told what to do; returns the amount in cents."""
    hands = stage.owner(account, at_ms)._replace(manner=behaviour.COACHED)
    cents = stage.lognormal(typical_cents * stage.people.wealth[account] ** 0.5, 0.5)
    if stage.chance(0.6):
        script.log_in(account, at_ms - stage.pause_ms(180), hands)
    if stage.chance(0.5):
        script.change(account, at_ms - stage.pause_ms(60), "beneficiary", hands)
    script.send(account, at_ms, mule, cents, hands, rows.SCAM, method=rows.P2P)
    return cents


def _pass_on(stage: Stage, script: Script, mule: int, at_ms: float, received: float, exits: list[int]) -> None:
    hands = stage.owner(mule, at_ms)
    left = received * stage.uniform(0.82, 0.99)
    parts = stage.whole(1, 3)
    script.log_in(mule, at_ms - stage.pause_ms(90), hands)
    for part in range(parts):
        cents = left if part == parts - 1 else left * stage.uniform(0.25, 0.7)
        left -= cents
        if stage.chance(0.2):
            exchange = stage.one_of(stage.merchants.of_categories(_EXCHANGES, online=True))
            script.buy(mule, at_ms, exchange, cents, hands, rows.MULE, declined=0.08, email=mule)
        else:
            exit_ = exits[stage.whole(0, len(exits) - 1)]
            script.send(mule, at_ms, exit_, cents, hands, rows.MULE)
        at_ms += stage.pause_ms(300, 1.0)
