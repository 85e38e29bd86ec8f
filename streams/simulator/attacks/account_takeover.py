"""Account takeover: guessed password, login from elsewhere, contact data and payee changed, account drained."""

import numpy as np

from streams.simulator import rows
from streams.simulator.attacks.script import Script
from streams.simulator.attacks.stage import Hands, Stage
from streams.simulator.merchants import GAMES, MEDIAN_CENTS, RESOLD
from streams.simulator.scenario import DAY_MS, HOUR_MS, MINUTE_MS

_FAILURES = np.array([0, 0, 0, 1, 1, 2, 3, 5])
_GAMES = np.array([GAMES])


def launch(stage: Stage, script: Script) -> None:
    """One victim. Some thieves sit behind an address of the victim's country or wait for days before they take."""
    waits_ms = stage.shortened(stage.uniform(0.5, 3.0) * DAY_MS) if stage.chance(0.25) else 0.0
    begin_ms: float = stage.begin(waits_ms + DAY_MS / 4)
    account = stage.victim(begin_ms)
    if stage.chance(0.5):
        begin_ms = stage.waking(account, begin_ms)
    hands = stage.stranger(account, nearby=0.5, cloned=0.25)
    at_ms = begin_ms
    for _ in range(stage.one_of(_FAILURES)):
        script.log_in(account, at_ms, hands, success=False)
        at_ms += stage.pause_ms(20)
    script.log_in(account, at_ms, hands)
    at_ms += stage.pause_ms(60)
    for name, share in (("password", 0.35), ("email", 0.25), ("phone", 0.2), ("limit", 0.15)):
        if stage.chance(share):
            script.change(account, at_ms, name, hands)
            at_ms += stage.pause_ms(45)
    if waits_ms:
        at_ms += waits_ms
        script.log_in(account, at_ms, hands)
        at_ms += stage.pause_ms(90)
    at_ms = min(at_ms, stage.scenario.end_ms - 2 * HOUR_MS)
    if stage.chance(0.75):
        _drain(stage, script, account, at_ms, hands)
    else:
        _shop(stage, script, account, at_ms, hands)


def _drain(stage: Stage, script: Script, account: int, at_ms: float, hands: Hands) -> None:
    beneficiary = stage.recruit(at_ms, other_than=account) if stage.chance(0.35) else stage.outside_payee()
    inside = beneficiary < len(stage.people)
    if stage.chance(0.65):
        script.change(account, at_ms, "beneficiary", hands)
        at_ms += stage.pause_ms(120)
    typical_cents = stage.people.wealth[account] * stage.lognormal(13_000 if inside else 32_000, 0.7)
    for _ in range(stage.whole(1, 5)):
        cents = stage.lognormal(typical_cents, 0.35)
        method = rows.P2P if inside else rows.TRANSFER
        script.send(account, at_ms, beneficiary, cents, hands, rows.ACCOUNT_TAKEOVER, method=method)
        at_ms += min(stage.pause_ms(240, 1.2), 20 * MINUTE_MS)


def _shop(stage: Stage, script: Script, account: int, at_ms: float, hands: Hands) -> None:
    """The card on file buys vouchers and what is easily sold."""
    categories = RESOLD if stage.chance(0.6) else _GAMES
    shops = stage.merchants.of_categories(categories, online=True)
    for _ in range(stage.whole(2, 6)):
        merchant = stage.one_of(shops)
        cents = MEDIAN_CENTS[stage.merchants.category[merchant]] * stage.people.wealth[account] ** 0.7
        script.buy(
            account, at_ms, merchant, stage.lognormal(1.5 * cents, 0.7), hands, rows.ACCOUNT_TAKEOVER,
            declined=0.10, email=account,
        )  # fmt: skip
        at_ms += min(stage.pause_ms(300, 1.0), 20 * MINUTE_MS)
