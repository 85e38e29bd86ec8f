"""Synthetic identities: a ring opens accounts with invented people who share a device, a home or a telephone."""

from streams.simulator import rows
from streams.simulator.attacks.script import Script
from streams.simulator.attacks.stage import Stage
from streams.simulator.merchants import MEDIAN_CENTS, RESOLD
from streams.simulator.scenario import DAY_MS, HOUR_MS


def launch(stage: Stage, script: Script) -> None:
    """Two to six accounts. Each applies for credit, waits for hours or days, and spends it."""
    accounts = stage.applicants(stage.whole(2, 6))
    if not accounts:
        return
    boss = stage.stranger(accounts[0], nearby=0.8)
    numbers = len(stage.people) + stage.whole(0, 2**29)
    shares_device, shares_home, shares_phone = stage.chance(0.6), stage.chance(0.6), stage.chance(0.4)
    shops = stage.merchants.of_categories(RESOLD, online=True)
    for number, account in enumerate(accounts):
        opened_ms = int(stage.people.opened_ms[account])
        own = stage.owner(account, opened_ms)
        hands = own._replace(device=boss.device) if shares_device else own
        script.apply(
            account, opened_ms, 120_000.0 * stage.lognormal(1.6, 0.5), hands, rows.IDENTITY,
            email=numbers + number, phone=numbers + (0 if shares_phone else number),
            address=numbers + (0 if shares_home else number), identity=numbers + number,
        )  # fmt: skip
        wait_ms = stage.shortened(stage.lognormal(1.5, 1.0) * DAY_MS)
        at_ms = min(opened_ms + wait_ms, stage.scenario.end_ms - 6 * HOUR_MS)
        for _ in range(stage.whole(1, 4)):
            merchant = stage.one_of(shops)
            cents = stage.lognormal(1.4 * MEDIAN_CENTS[stage.merchants.category[merchant]], 0.6)
            script.buy(
                account, at_ms, merchant, cents, hands, rows.IDENTITY,
                method=rows.BNPL if stage.chance(0.85) else rows.CARD, declined=0.08, email=numbers + number,
            )  # fmt: skip
            at_ms = min(at_ms + stage.pause_ms(2_400, 1.2), stage.scenario.end_ms - HOUR_MS)
