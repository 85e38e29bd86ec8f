"""A sale: for some hours the whole platform is three times as busy, with large baskets at a few merchants. No fraud."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streams.simulator import geography, population, rows
from streams.simulator import merchants as trade
from streams.simulator.merchants import Merchants
from streams.simulator.money import CITY_CURRENCY
from streams.simulator.population import Population
from streams.simulator.rows import Rows, blank
from streams.simulator.scenario import DAY_MS, HOUR_MS, Scenario

TRAFFIC = 3.0
_HOURS = 8
_PLACE = 0.62  # how far into the scenario
_FIRST_HOUR_UTC = 14
_MERCHANTS = 8
_OWN_DEVICE = 0.93


class Sale(NamedTuple):
    """When it is, [start_ms, end_ms), and which merchants take part."""

    start_ms: int
    end_ms: int
    merchants: NDArray[np.int64]


def announce(scenario: Scenario, merchants: Merchants, rng: Generator) -> Sale:
    """An afternoon a little after the middle of the scenario, shorter if the scenario is; popular online shops."""
    day = int(scenario.days * _PLACE)
    start_ms = scenario.start_ms + day * DAY_MS + _FIRST_HOUR_UTC * HOUR_MS
    length_ms = min(_HOURS * HOUR_MS, scenario.days * DAY_MS // 12)
    shops = merchants.of_categories(trade.RESOLD, online=True)
    popular = shops[np.argsort(-merchants.popularity[shops], kind="stable")[: 4 * _MERCHANTS]]
    return Sale(start_ms, start_ms + length_ms, rng.permutation(popular)[:_MERCHANTS])


def during(sale: Sale, times_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of these times lie within the sale."""
    return (sale.start_ms <= times_ms) & (times_ms < sale.end_ms)


def crowd(sale: Sale, people: Population, merchants: Merchants, rng: Generator, payments: int) -> Rows:
    """This many payments of accounts that exist by then, at the merchants of the sale."""
    here = np.flatnonzero(people.opened_ms <= sale.start_ms)
    cumulative = np.cumsum(people.activity[here])
    account = here[np.searchsorted(cumulative, rng.random(payments) * cumulative[-1], side="right")]
    merchant = sale.merchants[rng.integers(0, len(sale.merchants), size=payments)]
    category = merchants.category[merchant]
    credit = rng.random(payments) < 0.5 * people.credit[account] + 0.1
    app = rng.random(payments) < 0.45
    # a crowd comes in at the beginning
    share = rng.beta(1.3, 2.0, size=payments)
    bought = blank(payments)
    bought["time_ms"] = sale.start_ms + (share * (sale.end_ms - sale.start_ms)).astype(np.int64)
    bought["kind"] = rows.PAYMENT
    bought["account"] = account
    bought["merchant"] = merchant
    bought["method"] = np.where(credit, rows.BNPL, rows.CARD)
    bought["card"] = np.where(credit, -1, account * population.CARDS)
    bought["channel"] = np.where(app, rows.APP, rows.ECOM)
    bought["country"] = merchants.country[merchant]
    bought["currency"] = CITY_CURRENCY[people.city[account]]
    bought["email"] = population.emails(people, account, rng)
    basket = trade.MEDIAN_CENTS[category] * merchants.price_factor[merchant] * people.wealth[account] ** 0.7
    bought["cents"] = 1.8 * basket * np.exp(trade.SIGMA[category] * rng.standard_normal(payments))
    usual = people.device(account, bought["time_ms"], np.zeros(payments, dtype=np.int64))
    other = people.device_codes[account, people.devices[account] - 1]
    bought["device"] = np.where(rng.random(payments) < _OWN_DEVICE, usual, other)
    carrier = geography.carrier_addresses(people.country[account], rng)
    bought["ip"] = np.where(rng.random(payments) < 0.6, people.home_address[account], carrier)
    telemetry = people.has_telemetry[account] & (rng.random(payments) < 0.45)
    bought["typist"] = np.where(telemetry, account, -1)
    refused = rng.random(payments) < 1.4 * trade.DECLINED_SHARE[category]
    bought["authorization"] = np.where(refused, rows.DECLINED, rows.APPROVED)
    return bought


def mark(sale: Sale, events: Rows) -> None:
    """Mark every payment at a merchant of the sale within its hours that no attack has marked, in place."""
    taking_part = during(sale, events["time_ms"]) & np.isin(events["merchant"], sale.merchants)
    events["attack"][taking_part & (events["attack"] == rows.NONE)] = rows.SALE
