"""Stolen card spree: a card is used fast at merchants new to it, online or in the shops of another city."""

import numpy as np

from streams.simulator import geography, rows
from streams.simulator.attacks.script import Script
from streams.simulator.attacks.stage import Stage
from streams.simulator.merchants import GAMES, MEDIAN_CENTS, RESOLD
from streams.simulator.scenario import HOUR_MS, MINUTE_MS

_WANTED = np.append(RESOLD, GAMES)


def launch(stage: Stage, script: Script) -> None:
    """One card, 3 to 10 payments in minutes to hours. In shops the owner has just paid at home: impossible travel."""
    lasts_ms = stage.shortened(stage.lognormal(1.2, 0.9) * HOUR_MS)
    at_ms: float = stage.begin(lasts_ms + 3 * HOUR_MS)
    account = stage.victim(at_ms)
    in_shops = stage.chance(0.35)
    hands = stage.stranger(account, nearby=0.45, cloned=0.1)
    if in_shops:
        hands = hands._replace(city=_another_city(stage, int(stage.people.city[account])))
        _owner_shops(stage, script, account, at_ms)
        at_ms += stage.uniform(10, 100) * MINUTE_MS
    payments = stage.whole(3, 10)
    online = stage.merchants.of_categories(_WANTED, online=True)
    greed = stage.uniform(0.7, 2.2)
    card, declined = stage.whole(0, 1), 0.05
    email = account if stage.chance(0.5) else stage.throwaway_email()
    for _ in range(payments):
        merchant = _shop_in(stage, hands.city) if in_shops else stage.one_of(online)
        usual_cents = MEDIAN_CENTS[stage.merchants.category[merchant]] * stage.people.wealth[account] ** 0.4
        approved = script.buy(
            account, at_ms, merchant, stage.lognormal(greed * usual_cents, 0.8), hands, rows.CARD_NOT_PRESENT,
            declined=declined, email=email, card=card,
        )  # fmt: skip
        declined = min(0.8, declined + (0.04 if approved else 0.25))  # the issuer wakes up
        at_ms += min(stage.pause_ms(lasts_ms / payments / 1_000, 0.9), lasts_ms / 2)


def _another_city(stage: Stage, home: int) -> int:
    cities = len(geography.CITIES)
    return (home + stage.whole(1, cities - 1)) % cities


def _shop_in(stage: Stage, city: int) -> int:
    return int(stage.merchants.in_city.draw(np.array([city]), stage.rng)[0])


def _owner_shops(stage: Stage, script: Script, account: int, at_ms: float) -> None:
    home = stage.owner(account, at_ms)
    merchant = _shop_in(stage, home.city)
    cents = MEDIAN_CENTS[stage.merchants.category[merchant]] * stage.people.wealth[account] ** 0.7
    script.buy(account, at_ms, merchant, stage.lognormal(cents, 0.5), home, -1, innocent=True)
