"""Everything put on one timeline: the whole simulation as one pure function of its scenario."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray

from streams.simulator import attacks, clock, habits, labels, life, money, rows
from streams.simulator import sale as sales
from streams.simulator.attacks.stage import Stage
from streams.simulator.clock import Arrival
from streams.simulator.labels import Labels
from streams.simulator.merchants import Merchants, open_shops
from streams.simulator.population import Population, settle
from streams.simulator.rows import Rows
from streams.simulator.sale import Sale
from streams.simulator.scenario import Scenario

PAYMENTS_PER_EVENT = 0.73
"""Payments among the events of ordinary life, measured; it turns the wanted fraud share into a number."""
_ROWS_PER_SESSION = 1.55  # a little less than measured, so that rather too many sessions are drawn
_LARGEST_SHARE_OF_LIFE = 1 / 3


@dataclass(frozen=True, slots=True)
class Timeline:
    """A finished simulation.

    Attributes:
        scenario: what was asked for.
        people, merchants, sale: who and what it plays with.
        events: each event once, sorted by its time; an event's number is its position.
        arrival: the records of the event file, duplicates included, in order of arrival.
        labels: sorted by the moment they are known.
    """

    scenario: Scenario
    people: Population
    merchants: Merchants
    sale: Sale
    events: Rows
    arrival: Arrival
    labels: Labels


def simulate(scenario: Scenario) -> Timeline:
    """Play the scenario. The same scenario gives the same timeline, on any run.

    >>> timeline = simulate(Scenario(events=1_000, seed=7))
    >>> len(timeline.arrival.row), len(timeline.events)
    (1000, 999)
    """
    # a stream of random numbers per part: a change in one part leaves the others as they are
    shops_rng, people_rng, attack_rng, life_rng, habit_rng, sale_rng, clock_rng, price_rng, label_rng = (
        default_rng(child) for child in SeedSequence(scenario.seed).spawn(9)
    )
    merchants = open_shops(scenario.accounts, shops_rng)
    people = settle(scenario, merchants, people_rng)
    sale = sales.announce(scenario, merchants, sale_rng)
    duplicates = clock.duplicates_of(scenario.events)
    wanted = scenario.events - duplicates

    stage = Stage(scenario, people, merchants, attack_rng)
    attacked = attacks.plan(stage, scenario.fraud_share * PAYMENTS_PER_EVENT * wanted)
    lived = _lives(people, merchants, scenario, attacked, life_rng)
    lived = lived[: int(wanted * _LARGEST_SHARE_OF_LIFE)]
    room = wanted - len(attacked) - len(lived)
    ordinary = _ordinary(people, merchants, scenario, sale, room, habit_rng, sale_rng)

    events = np.concatenate([attacked, lived, ordinary])
    money.price(events, price_rng)
    clock.confine(events, scenario)
    clock.coarsen(events, merchants)
    events = events[np.argsort(events["time_ms"], kind="stable")]
    sales.mark(sale, events)
    arrival = clock.arrive(events, duplicates, clock_rng)
    arrived_ms = np.empty(len(events), dtype=np.int64)
    arrived_ms[arrival.row[~arrival.repeats]] = arrival.at_ms[~arrival.repeats]
    known = labels.judge(events, arrived_ms, label_rng)
    return Timeline(scenario, people, merchants, sale, events, arrival, known)


def _lives(people: Population, merchants: Merchants, scenario: Scenario, attacked: Rows, rng: Generator) -> Rows:
    """Openings and what follows them, replaced telephones, changed profiles; shuffled, so that any part is a sample."""
    invented = attacked["account"][attacked["kind"] == rows.APPLICATION].astype(np.int64)
    parts = [
        life.openings(people, invented, rng),
        life.first_purchases(people, merchants, scenario, invented, rng),
        life.replacements(people, scenario, rng),
        life.changes(people, scenario, rng),
    ]
    lived = np.concatenate(parts)
    return lived[rng.permutation(len(lived))]


def _ordinary(
    people: Population,
    merchants: Merchants,
    scenario: Scenario,
    sale: Sale,
    count: int,
    rng: Generator,
    sale_rng: Generator,
) -> Rows:
    """Exactly `count` rows of ordinary sessions and of the crowd at the sale."""
    sessions = int(count / _ROWS_PER_SESSION) + 100
    drawn, owner = habits.live(people, merchants, scenario, rng, sessions)
    while len(drawn) < count:  # a platform of few accounts can be far from the average
        sessions += sessions // 4
        drawn, owner = habits.live(people, merchants, scenario, rng, sessions)
    # the crowd multiplies whatever goes on during the sale
    share = float(sales.during(sale, drawn["time_ms"]).mean())
    crowd = round(count * (1.0 - 1.0 / (1.0 + (sales.TRAFFIC - 1.0) * share)))
    kept = _exactly(drawn, owner, count - crowd)
    return np.concatenate([kept, sales.crowd(sale, people, merchants, sale_rng, crowd)])


def _exactly(drawn: Rows, owner: NDArray[np.int64], count: int) -> Rows:
    """The first sessions that fit into `count` rows, filled up with single payments of the next ones."""
    sizes = np.cumsum(np.bincount(owner))
    sessions = int(np.searchsorted(sizes, count, side="right"))
    kept = drawn[owner < sessions]
    spare = drawn[(owner >= sessions) & (drawn["kind"] == rows.PAYMENT)][: count - len(kept)]
    return np.concatenate([kept, spare])
