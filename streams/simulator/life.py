"""What happens to an account once in a while: it is opened, gets a new telephone, moves house, changes its password."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streams.simulator import geography, population, rows
from streams.simulator.merchants import MEDIAN_CENTS, RESOLD, Merchants
from streams.simulator.money import CITY_CURRENCY
from streams.simulator.population import Population
from streams.simulator.rows import Rows, blank
from streams.simulator.scenario import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Scenario

_CHANGES_PER_DAY = 0.0025
_FIELDS = np.array([rows.FIELDS.index(name) for name in ("password", "email", "phone", "address", "limit")])
_FIELD_SHARE = np.array([0.35, 0.2, 0.15, 0.15, 0.15])
_OPENED_TO_BUY = 0.45
_SHARED_ADDRESS = 0.07  # applicants who live where another one lives


def openings(people: Population, taken: NDArray[np.int64], rng: Generator) -> Rows:
    """The application of each account opened within the simulated time, except those `taken` by somebody else."""
    account = np.setdiff1d(np.flatnonzero(people.is_new), taken)
    count = len(account)
    opened = blank(count)
    opened["time_ms"] = people.opened_ms[account]
    opened["account"] = account
    opened["kind"] = rows.APPLICATION
    opened["email"] = opened["phone"] = opened["identity"] = account
    neighbour = (account + 1) % len(people)
    opened["address"] = np.where(rng.random(count) < _SHARED_ADDRESS, neighbour, account)
    opened["currency"] = CITY_CURRENCY[people.city[account]]
    opened["cents"] = 120_000.0 * people.wealth[account] * rng.lognormal(0.0, 0.6, size=count)
    opened["device"] = people.device_codes[account, 0]
    opened["ip"] = people.home_address[account]
    opened["typist"] = np.where(people.has_telemetry[account], account, -1)
    return opened


def first_purchases(
    people: Population, merchants: Merchants, scenario: Scenario, taken: NDArray[np.int64], rng: Generator
) -> Rows:
    """What many accounts were opened for: a large basket, often on credit, within hours of the opening."""
    buyers = np.setdiff1d(np.flatnonzero(people.is_new), taken)
    buyers = buyers[rng.random(len(buyers)) < _OPENED_TO_BUY]
    account = np.repeat(buyers, rng.choice([1, 2, 3], size=len(buyers), p=[0.6, 0.3, 0.1]))
    count = len(account)
    shops = merchants.of_categories(RESOLD, online=True)
    merchant = shops[rng.integers(0, len(shops), size=count)]
    category = merchants.category[merchant]
    credit = rng.random(count) < 0.65
    bought = blank(count)
    wait_ms = rng.lognormal(np.log(4.0), 1.4, size=count) * HOUR_MS
    bought["time_ms"] = (
        people.opened_ms[account] + 5 * MINUTE_MS + np.minimum(wait_ms, scenario.days * DAY_MS / 10).astype(np.int64)
    )
    bought["kind"] = rows.PAYMENT
    bought["account"] = account
    bought["merchant"] = merchant
    bought["method"] = np.where(credit, rows.BNPL, rows.CARD)
    bought["card"] = np.where(credit, -1, account * population.CARDS)
    bought["channel"] = np.where(rng.random(count) < 0.4, rows.APP, rows.ECOM)
    bought["country"] = merchants.country[merchant]
    bought["currency"] = CITY_CURRENCY[people.city[account]]
    bought["email"] = population.emails(people, account, rng)
    bought["cents"] = 1.3 * MEDIAN_CENTS[category] * people.wealth[account] ** 0.7 * rng.lognormal(0.0, 0.7, size=count)
    bought["device"] = people.device_codes[account, 0]
    bought["ip"] = people.home_address[account]
    bought["typist"] = np.where(people.has_telemetry[account] & (rng.random(count) < 0.45), account, -1)
    bought["authorization"] = np.where(rng.random(count) < 0.07, rows.DECLINED, rows.APPROVED)
    return bought


def replacements(people: Population, scenario: Scenario, rng: Generator) -> Rows:
    """A new telephone: failed and successful logins from it, its registration, sometimes a new password."""
    account = np.flatnonzero((people.replaced_ms >= scenario.start_ms) & (people.replaced_ms < scenario.end_ms))
    count = len(account)
    at_ms = people.replaced_ms[account]
    mistakes = np.repeat(np.arange(count), rng.choice([0, 1, 2], size=count, p=[0.6, 0.25, 0.15]))
    registers = np.flatnonzero(rng.random(count) < 0.6)
    resets = np.flatnonzero(rng.random(count) < 0.3)
    who = np.concatenate([np.arange(count), mistakes, registers, resets])
    kind = np.repeat(
        [rows.LOGIN, rows.LOGIN, rows.PROFILE_CHANGE, rows.PROFILE_CHANGE],
        [count, len(mistakes), len(registers), len(resets)],
    )
    events = blank(len(who))
    events["kind"] = kind
    events["account"] = account[who]
    events["device"] = people.device_codes[account[who], population.REPLACEMENT]
    country = geography.CITY_COUNTRY[people.city[account[who]]].astype(np.int64)
    carrier = geography.carrier_addresses(country, rng)[:count]
    session_ip = np.where(rng.random(count) < 0.6, people.home_address[account], carrier)
    events["ip"] = session_ip[who]
    offset = np.zeros(len(who))
    login, mistake = slice(0, count), slice(count, count + len(mistakes))
    register, reset = slice(mistake.stop, mistake.stop + len(registers)), slice(len(who) - len(resets), None)
    offset[mistake] = -rng.uniform(8.0, 90.0, size=len(mistakes)) * SECOND_MS
    offset[register] = rng.uniform(5.0, 90.0, size=len(registers)) * SECOND_MS
    offset[reset] = rng.uniform(0.5, 20.0, size=len(resets)) * MINUTE_MS
    events["time_ms"] = np.maximum(at_ms[who] + offset.astype(np.int64), people.opened_ms[account[who]])
    for part, success in ((login, 1), (mistake, 0)):
        events["success"][part] = success
        events["login_method"][part] = rows.PASSWORD
        events["country"][part] = country[part]
    events["typist"][login] = np.where(people.has_telemetry[account], account, -1)
    events["field"][register] = rows.FIELDS.index("device")
    events["field"][reset] = rows.FIELDS.index("password")
    return events


def changes(people: Population, scenario: Scenario, rng: Generator) -> Rows:
    """Rare changes of the profile from the account's own device."""
    count = int(rng.poisson(_CHANGES_PER_DAY * scenario.days * len(people)))
    account = rng.integers(0, len(people), size=count)
    life_ms = scenario.end_ms - HOUR_MS - people.opened_ms[account]
    changed = blank(count)
    changed["time_ms"] = people.opened_ms[account] + (rng.random(count) * np.maximum(life_ms, 1)).astype(np.int64)
    changed["account"] = account
    changed["kind"] = rows.PROFILE_CHANGE
    changed["field"] = rng.choice(_FIELDS, size=count, p=_FIELD_SHARE)
    changed["device"] = people.device(account, changed["time_ms"], np.zeros(count, dtype=np.int64))
    changed["ip"] = people.home_address[account]
    return changed
