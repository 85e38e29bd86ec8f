"""Card testing: a list of stolen cards is tried with payments from few devices, at one online merchant or at many."""

import numpy as np

from streams.simulator import rows
from streams.simulator.attacks.script import Script
from streams.simulator.attacks.stage import Stage
from streams.simulator.merchants import CHARITY, GAMES, MEDIAN_CENTS, SUBSCRIPTIONS
from streams.simulator.scenario import HOUR_MS

_TARGETS = np.array([GAMES, CHARITY, SUBSCRIPTIONS])


def launch(stage: Stage, script: Script) -> None:
    """One list of 6 to 40 cards, tried loudly or, one time in three, quietly."""
    if stage.chance(0.33):
        _launch_quietly(stage, script)
    else:
        _launch_loudly(stage, script)


def _launch_quietly(stage: Stage, script: Script) -> None:
    """Each card buys what its owner might have bought, from an address near home: only the device is always the same.

    No account by itself shows more than a new device.
    """
    cards = int(min(max(8, stage.lognormal(20, 0.5)), 50, max(8, len(stage.people) // 3)))
    median_pause_seconds = stage.lognormal(60, 1.0)
    at_ms: float = stage.begin(stage.shortened(cards * median_pause_seconds * 3_000))
    end_ms = stage.scenario.end_ms - HOUR_MS
    shops = np.flatnonzero(stage.merchants.online)
    hands = stage.stranger(stage.victim(at_ms), nearby=1.0)
    for _ in range(cards):
        account = stage.victim(at_ms)
        home = int(stage.people.city[account])
        merchant = stage.one_of(shops)
        usual_cents = MEDIAN_CENTS[stage.merchants.category[merchant]] * stage.merchants.price_factor[merchant]
        near = hands._replace(city=home, ip=stage.address(home))
        script.buy(
            account, at_ms, merchant, stage.lognormal(0.6 * usual_cents, 0.5), near, rows.CARD_TESTING, declined=0.1
        )
        at_ms = min(at_ms + stage.pause_ms(median_pause_seconds), end_ms)


def _launch_loudly(stage: Stage, script: Script) -> None:
    """Small payments at one merchant. Careful testers are slow, change device and address, and pay usual prices."""
    cards = int(min(max(6, stage.lognormal(13, 0.5)), 40, max(6, len(stage.people) // 3)))
    median_pause_seconds = stage.lognormal(70, 1.3)
    at_ms: float = stage.begin(stage.shortened(cards * median_pause_seconds * 3_000))
    end_ms = stage.scenario.end_ms - HOUR_MS
    merchant = stage.one_of(stage.merchants.of_categories(_TARGETS, online=True))
    usual_cents = MEDIAN_CENTS[stage.merchants.category[merchant]] * stage.merchants.price_factor[merchant]
    tiny = stage.chance(0.45)
    declined = stage.uniform(0.25, 0.7)
    nearby = stage.uniform(0.2, 0.9)
    uses_of_device, uses_of_address = stage.one_of(np.array([2, 5, 99])), stage.one_of(np.array([1, 4, 99]))
    hands = stage.stranger(stage.victim(at_ms), nearby=nearby)
    is_script = stage.chance(0.3)  # it shows no device
    for number in range(cards):
        account = stage.victim(at_ms)
        if number and number % uses_of_device == 0:
            hands = stage.stranger(account, nearby=nearby, cloned=0.1)
        elif number and number % uses_of_address == 0:
            hands = hands._replace(ip=stage.address(hands.city))
        email = stage.throwaway_email()
        for _ in range(1 + stage.chance(0.2)):
            cents = stage.uniform(50, 400) if tiny else stage.lognormal(usual_cents, 0.7)
            script.buy(
                account, at_ms, merchant, cents, hands._replace(device=-1) if is_script else hands, rows.CARD_TESTING,
                declined=declined, email=email, card=stage.whole(0, 1),
            )  # fmt: skip
            at_ms = min(at_ms + stage.pause_ms(median_pause_seconds), end_ms)
