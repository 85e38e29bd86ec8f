"""Parts of a simulated world that tests ask about: an attack's events, payments, what is fraud."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from streams.simulator import Timeline, rows

ATTACKS = [name for name in rows.ATTACK_NAMES if name not in ("none", "sale")]


def part_of(world: Timeline, attack: str) -> rows.Rows:
    return np.asarray(world.events[world.events["attack"] == rows.ATTACK_NAMES.index(attack)])


def instances(world: Timeline, attack: str) -> Iterator[rows.Rows]:
    """The events of each instance of an attack, in order of time."""
    part = part_of(world, attack)
    for number in np.unique(part["attack_number"]):
        yield part[part["attack_number"] == number]


def payments(events: rows.Rows) -> rows.Rows:
    return np.asarray(events[events["kind"] == rows.PAYMENT])


def fraudulent(events: rows.Rows) -> NDArray[np.bool_]:
    return np.asarray((events["kind"] == rows.PAYMENT) & (events["fraud_type"] >= 0))
