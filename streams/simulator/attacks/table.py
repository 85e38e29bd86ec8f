"""The table of attacks, and how many of each a scenario gets."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from streams.simulator.attacks import (
    account_takeover,
    bust_out,
    card_testing,
    mule,
    slow_ramp,
    stolen_card,
    synthetic_identity,
)
from streams.simulator.attacks.script import Script
from streams.simulator.attacks.stage import Stage
from streams.simulator.rows import ATTACK_NAMES, Rows, blank, from_mappings


class Attack(NamedTuple):
    """One kind of attack: its share of all fraudulent payments, how many an instance has on average, its story."""

    name: str
    share: float
    typical_payments: float
    launch: Callable[[Stage, Script], None]


ATTACKS: tuple[Attack, ...] = (
    Attack("card_testing", 0.22, 18.0, card_testing.launch),
    Attack("account_takeover", 0.18, 3.3, account_takeover.launch),
    Attack("slow_ramp", 0.10, 8.5, slow_ramp.launch),
    Attack("bust_out", 0.10, 7.5, bust_out.launch),
    Attack("mule", 0.15, 12.5, mule.launch),
    Attack("stolen_card", 0.20, 6.5, stolen_card.launch),
    Attack("synthetic_identity", 0.05, 10.0, synthetic_identity.launch),
)


def plan(stage: Stage, fraudulent_payments: float) -> Rows:
    """Events of as many attacks as give about this many fraudulent payments, in no particular order.

    A kind of attack whose share is less than half of a typical instance does not happen.
    """
    parts = [blank(0)]
    for attack in ATTACKS:
        budget = fraudulent_payments * attack.share
        produced, number = 0, 0
        while produced + attack.typical_payments / 2 <= budget:
            script = Script(stage, ATTACK_NAMES.index(attack.name), number)
            attack.launch(stage, script)
            if not script.fraudulent:  # nobody is left for it
                break
            parts.append(from_mappings(script.events))
            produced += script.fraudulent
            number += 1
    return np.concatenate(parts)
