"""Slow ramp: a stolen card is used like its owner would, days apart, and the amounts creep up."""

import numpy as np

from streams.simulator import population, rows
from streams.simulator.attacks.script import Script
from streams.simulator.attacks.stage import Stage
from streams.simulator.merchants import MEDIAN_CENTS, RESOLD
from streams.simulator.scenario import DAY_MS


def launch(stage: Stage, script: Script) -> None:
    """One card, 5 to 12 payments over one to three weeks, half of them at merchants that the victim knows."""
    lasts_ms = stage.shortened(stage.uniform(6.0, 22.0) * DAY_MS)
    begin_ms = stage.begin(lasts_ms + DAY_MS)
    account = stage.victim(begin_ms)
    hands = stage.stranger(account, nearby=0.75, cloned=0.35)
    payments = stage.whole(5, 12)
    growth = stage.uniform(1.15, 1.6)
    known = stage.people.favourites[account, population.FAVOURITES // 2 :]
    resold = stage.merchants.of_categories(RESOLD, online=True)
    share = np.sort(stage.rng.random(payments))
    cents = stage.people.wealth[account] ** 0.7 * stage.lognormal(1_700, 0.4)
    for number in range(payments):
        at_ms = stage.waking(account, begin_ms + share[number] * lasts_ms)
        merchant = stage.one_of(known) if stage.chance(0.5) else stage.one_of(resold)
        # a known cheap shop still sells cheap things
        usual = MEDIAN_CENTS[stage.merchants.category[merchant]] / 5_500.0
        script.buy(
            account, at_ms, merchant, stage.lognormal(cents * usual**0.35, 0.2), hands, rows.CARD_NOT_PRESENT,
            declined=0.05, email=account,
        )  # fmt: skip
        cents *= growth
        if stage.chance(0.15):
            hands = hands._replace(ip=stage.address(hands.city))
