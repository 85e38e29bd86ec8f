"""Bust-out: an account that has behaved well buys on credit up to its limit within hours, and will never pay."""

from streams.simulator import rows
from streams.simulator.attacks.script import Script
from streams.simulator.attacks.stage import Stage
from streams.simulator.merchants import MEDIAN_CENTS, RESOLD
from streams.simulator.scenario import HOUR_MS, MINUTE_MS


def launch(stage: Stage, script: Script) -> None:
    """One account, its own device, address and hours: only pace, goods and credit differ from an ordinary week."""
    lasts_ms = stage.uniform(1.5, 12.0) * HOUR_MS
    at_ms: float = stage.begin(stage.shortened(lasts_ms + 12 * HOUR_MS))
    account = stage.recruit(at_ms)
    at_ms = min(stage.waking(account, at_ms), stage.scenario.end_ms - lasts_ms - HOUR_MS)
    hands = stage.owner(account, at_ms)
    shops = stage.merchants.of_categories(RESOLD, online=True)
    purchases = stage.whole(4, 11)
    script.log_in(account, at_ms - stage.uniform(0.5, 10.0) * MINUTE_MS, hands)
    if stage.chance(0.3):
        script.change(account, at_ms - stage.uniform(0.2, 0.4) * MINUTE_MS, "limit", hands)
    greed = stage.uniform(1.1, 3.0)
    for _ in range(purchases):
        merchant = stage.one_of(shops)
        usual_cents = MEDIAN_CENTS[stage.merchants.category[merchant]] * stage.people.wealth[account] ** 0.7
        script.buy(
            account, at_ms, merchant, stage.lognormal(greed * usual_cents, 0.6), hands, rows.FIRST_PARTY,
            method=rows.BNPL if stage.chance(0.75) else rows.CARD, declined=0.12, email=account,
        )  # fmt: skip
        at_ms += min(stage.pause_ms(lasts_ms / purchases / 1_000, 0.9), lasts_ms / 3)
