"""Card testing: a list of stolen cards is tried with small payments at one online merchant, many are refused."""

import numpy as np

from streams.simulator import rows
from streams.simulator.attacks.script import Script
from streams.simulator.attacks.stage import Stage
from streams.simulator.merchants import CHARITY, GAMES, MEDIAN_CENTS, SUBSCRIPTIONS
from streams.simulator.scenario import HOUR_MS

_TARGETS = np.array([GAMES, CHARITY, SUBSCRIPTIONS])


def launch(stage: Stage, script: Script) -> None:
    """One list of 6 to 40 cards. Careful testers are slow, change device and address, and pay usual prices."""
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
