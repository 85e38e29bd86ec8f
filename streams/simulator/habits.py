"""Ordinary life: sessions of browsing, shopping and sending money, at the hours and places of each account.

Much of it looks like an attack taken alone: journeys, refused and repeated payments, mistyped passwords, new payees.
"""

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
from streams.simulator.scenario import DAY_MS, HOUR_MS, SECOND_MS, Scenario

BENEFICIARY_FIELD = rows.FIELDS.index("beneficiary")

_ONLY_LOOKS = 0.09  # sessions without a payment
_EXPLORES = 0.16  # payments at a merchant that is not a favourite
_KIOSK = 0.004  # online sessions at a public terminal
_CLEARED = 0.010  # online sessions in a browser that has forgotten who it is
_MOST_PAYMENTS = 6
_ANOTHER_PAYMENT = 0.22
_TWIN = 0.003  # orders split in two payments of the same millisecond
_RETRY = 0.5  # refused payments tried again
_NEW_PAYEE = 0.10
_FAILED_LOGIN = 0.07
_WEEKDAY_WEIGHT = np.array([0.92, 0.95, 0.98, 1.0, 1.15, 1.2, 0.95])


class Sessions(NamedTuple):
    """Visits as columns: who, when, in which city, online or in shops, sending money or shopping, from what."""

    account: NDArray[np.int64]
    start_ms: NDArray[np.int64]
    city: NDArray[np.int64]
    away: NDArray[np.bool_]
    online: NDArray[np.bool_]
    sends: NDArray[np.bool_]
    payments: NDArray[np.int64]
    device: NDArray[np.int64]
    ip: NDArray[np.int64]


def live(
    people: Population, merchants: Merchants, scenario: Scenario, rng: Generator, sessions: int
) -> tuple[Rows, NDArray[np.int64]]:
    """Rows of this many sessions, and the session's number for each row; in no particular order."""
    visits = _visit(people, scenario, rng, sessions)
    paid, owner, refused = _pay(visits, people, merchants, rng)
    logins, login_owner = _log_in(visits, people, rng)
    retries, retry_owner = _try_again(paid[refused], owner[refused], rng)
    twin = rng.random(len(paid)) < _TWIN
    changes, change_owner = _add_payees(paid, owner, people, rng)
    parts = [paid, logins, retries, paid[twin], changes]
    owners = [owner, login_owner, retry_owner, owner[twin], change_owner]
    return np.concatenate(parts), np.concatenate(owners)


def moments(people: Population, scenario: Scenario, accounts: NDArray[np.int64], rng: Generator) -> NDArray[np.int64]:
    """A time within each account's life, by day of the week and the account's hours."""
    weekday = (scenario.start_ms // DAY_MS + 3 + np.arange(scenario.days)) % 7
    busy_until = np.concatenate([[0.0], np.cumsum(_WEEKDAY_WEIGHT[weekday])])
    born = np.interp((people.opened_ms[accounts] - scenario.start_ms) / DAY_MS, np.arange(len(busy_until)), busy_until)
    target = born + rng.random(len(accounts)) * (busy_until[-1] - born)
    day = np.clip(np.searchsorted(busy_until, target, side="right") - 1, 0, scenario.days - 1)
    hour = people.peak_hour[accounts] + people.hour_spread[accounts] * rng.standard_normal(len(accounts))
    sleepless = rng.random(len(accounts)) < 0.05
    hour[sleepless] = rng.uniform(0.0, 24.0, size=int(sleepless.sum()))
    offset = geography.CITY_UTC_OFFSET_HOURS[people.city[accounts]]
    time_ms = scenario.start_ms + day * DAY_MS + (((hour - offset) % 24.0) * HOUR_MS).astype(np.int64)
    soon = people.opened_ms[accounts] + (rng.exponential(2.0, size=len(accounts)) * HOUR_MS).astype(np.int64)
    return np.where(time_ms < people.opened_ms[accounts], soon, time_ms)


def _visit(people: Population, scenario: Scenario, rng: Generator, count: int) -> Sessions:
    lifetime = scenario.end_ms - people.opened_ms
    cumulative = np.cumsum(people.activity * lifetime)
    account = np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right")
    start_ms = moments(people, scenario, account, rng)
    away = (people.trip_start_ms[account] <= start_ms) & (start_ms < people.trip_end_ms[account])
    city = np.where(away, people.trip_city[account], people.city[account])
    sends = rng.random(count) < people.sending[account]
    online = sends | (rng.random(count) < people.online[account])
    looks = online & (rng.random(count) < _ONLY_LOOKS)
    payments = np.minimum(rng.geometric(1.0 - _ANOTHER_PAYMENT, size=count), _MOST_PAYMENTS)
    payments = np.where(sends, 1 + (rng.random(count) < 0.08), payments)
    payments[looks] = 0

    rank = np.where(rng.random(count) < 0.15, rng.integers(0, 3, size=count), 0)
    device = people.device(account, start_ms, np.minimum(rank, people.devices[account] - 1))
    country = geography.CITY_COUNTRY[city].astype(np.int64)
    draw = rng.random(count)
    ip = np.where(draw < 0.55, people.home_address[account], people.work_address[account])
    ip = np.where(away, geography.addresses(country, rng), ip)
    ip = np.where(draw > 0.72, geography.carrier_addresses(country, rng), ip)
    ip = np.where(draw > 0.94, geography.addresses(country, rng), ip)
    device = np.where(rng.random(count) < _CLEARED, population.fresh_codes(count, rng), device)
    kiosk = rng.random(count) < _KIOSK
    device = np.where(kiosk, population.kiosk_codes(people)[city], device)
    ip = np.where(kiosk, _kiosk_addresses(city), ip)
    return Sessions(account, start_ms, city, away, online, sends, payments, device, ip)


def _kiosk_addresses(city: NDArray[np.int64]) -> NDArray[np.int64]:
    fixed = geography.addresses(geography.CITY_COUNTRY.astype(np.int64), np.random.default_rng(0))
    return fixed[city]


def _pay(
    visits: Sessions, people: Population, merchants: Merchants, rng: Generator
) -> tuple[Rows, NDArray[np.int64], NDArray[np.bool_]]:
    """Payment rows, their session, and which of them the issuer refused."""
    owner = np.repeat(np.arange(len(visits.account)), visits.payments)
    count = len(owner)
    paid = blank(count)
    account, city, online = visits.account[owner], visits.city[owner], visits.online[owner]
    first = np.concatenate([[True], owner[1:] != owner[:-1]]) if count else np.zeros(0, dtype=bool)
    gap_ms = np.where(first, 0, 20 * SECOND_MS + rng.exponential(11 * 60 * SECOND_MS, size=count)).astype(np.int64)
    elapsed = np.cumsum(gap_ms)
    start_of_session = np.maximum.accumulate(np.where(first, np.arange(count), 0))
    paid["time_ms"] = visits.start_ms[owner] + elapsed - elapsed[start_of_session]
    paid["account"] = account
    paid["kind"] = rows.PAYMENT
    _choose_merchants(paid, visits, owner, people, merchants, rng)
    _choose_payees(paid, visits.sends[owner], people, rng)

    on_line = np.flatnonzero(online)
    paid["device"][on_line] = visits.device[owner[on_line]]
    paid["ip"][on_line] = visits.ip[owner[on_line]]
    telemetry = online & people.has_telemetry[account] & (rng.random(count) < 0.45)
    paid["typist"] = np.where(telemetry, account, -1)
    located = ~online | ((paid["channel"] == rows.APP) & (rng.random(count) < 0.6))
    paid["latitude"] = np.where(located, geography.CITY_LATITUDE[city] + rng.normal(0, 0.05, size=count), np.nan)
    paid["longitude"] = np.where(located, geography.CITY_LONGITUDE[city] + rng.normal(0, 0.07, size=count), np.nan)

    shopping = np.flatnonzero(paid["merchant"] >= 0)
    risk = trade.DECLINED_SHARE[merchants.category[paid["merchant"][shopping]]] * (
        1.0 + 0.6 * visits.away[owner[shopping]]
    )
    refused = np.zeros(count, dtype=bool)
    refused[shopping] = rng.random(len(shopping)) < risk
    silent = rng.random(count) < np.where(paid["merchant"] >= 0, 0.04, 0.6)
    outcome = np.where(refused, rows.DECLINED, rows.APPROVED)
    paid["authorization"] = np.where(silent & ~refused, -1, outcome)
    return paid, owner, refused


def _choose_merchants(
    paid: Rows, visits: Sessions, owner: NDArray[np.int64], people: Population, merchants: Merchants, rng: Generator
) -> None:
    count = len(owner)
    account, city, away, online = visits.account[owner], visits.city[owner], visits.away[owner], visits.online[owner]
    half = population.FAVOURITES // 2
    rank = np.minimum(rng.geometric(0.25, size=count) - 1, half - 1)
    merchant = people.favourites[account, np.where(online, half + rank, rank)]
    explores = rng.random(count) < _EXPLORES
    country = people.country[account]
    online_new = np.where(
        rng.random(count) < 0.5,
        merchants.in_country.draw(country, rng),
        merchants.anywhere.draw(np.zeros(count, dtype=np.int64), rng),
    )
    merchant = np.where(explores & online, online_new, merchant)
    merchant = np.where((explores | away) & ~online, merchants.in_city.draw(city, rng), merchant)
    cash = ~online & (rng.random(count) < 0.07)
    merchant = np.where(cash, merchants.cash_in_city.draw(city, rng), merchant)

    category = merchants.category[merchant]
    shopping = ~visits.sends[owner]
    credit = shopping & online & trade.ON_CREDIT[category] & (rng.random(count) < people.credit[account])
    paid["merchant"] = np.where(shopping, merchant, -1)
    paid["method"] = np.where(credit, rows.BNPL, rows.CARD)
    paid["country"] = np.where(shopping, merchants.country[merchant], -1)
    app = rng.random(count) < 0.4
    paid["channel"] = np.where(online, np.where(app, rows.APP, rows.ECOM), np.where(cash, rows.ATM, rows.POS))
    second = (people.cards[account] == 2) & (rng.random(count) < 0.3)
    paid["card"] = np.where(shopping & ~credit, account * population.CARDS + second, -1)
    paid["email"] = np.where(shopping & online, population.emails(people, account, rng), -1)
    abroad = away & ~online
    paid["currency"] = CITY_CURRENCY[np.where(abroad, city, people.city[account])]
    cents = trade.MEDIAN_CENTS[category] * merchants.price_factor[merchant]
    paid["cents"] = cents * people.wealth[account] ** 0.7 * np.exp(trade.SIGMA[category] * rng.standard_normal(count))


def _choose_payees(paid: Rows, sends: NDArray[np.bool_], people: Population, rng: Generator) -> None:
    where = np.flatnonzero(sends)
    count = len(where)
    account = paid["account"][where].astype(np.int64)
    to_friend = rng.random(count) < 0.6
    friend = people.friends[account, np.minimum(rng.geometric(0.4, size=count) - 1, population.FRIENDS - 1)]
    payee = people.payees[account, rng.integers(0, people.payees.shape[1], size=count)]
    is_new = rng.random(count) < _NEW_PAYEE
    stranger = (account + rng.integers(1, len(people), size=count)) % len(people)
    friend = np.where(is_new, stranger, friend)
    payee = np.where(is_new, population.fresh_codes(count, rng), payee)
    paid["beneficiary"][where] = np.where(to_friend, friend, payee)
    paid["method"][where] = np.where(to_friend, rows.P2P, rows.TRANSFER)
    paid["channel"][where] = np.where(~to_friend & (rng.random(count) < 0.1), rows.API, rows.APP)
    spread = np.where(to_friend, 0.95, 0.85) * rng.standard_normal(count)
    typical = np.where(to_friend, 2_800.0, 21_000.0) * np.where(is_new, 1.25, 1.0)
    paid["cents"][where] = typical * people.wealth[account] * np.exp(spread)


def _log_in(visits: Sessions, people: Population, rng: Generator) -> tuple[Rows, NDArray[np.int64]]:
    share = np.where(visits.payments == 0, 1.0, np.where(visits.sends, 0.8, 0.45))
    enters = np.flatnonzero(visits.online & (rng.random(len(share)) < share))
    # the wrong password, once or more, before the right one
    failures = np.where(rng.random(len(enters)) < _FAILED_LOGIN, rng.geometric(0.65, size=len(enters)), 0)
    owner = np.repeat(enters, failures + 1)
    count = len(owner)
    last = np.concatenate([owner[1:] != owner[:-1], [True]])[:count]
    account = visits.account[owner]
    logins = blank(count)
    lead_ms = np.repeat(15 * SECOND_MS + rng.exponential(100 * SECOND_MS, size=len(enters)), failures + 1)
    earlier = np.where(last, 0.0, rng.uniform(8.0, 60.0, size=count) * SECOND_MS)
    logins["time_ms"] = visits.start_ms[owner] - (lead_ms + earlier).astype(np.int64)
    logins["time_ms"] = np.maximum(logins["time_ms"], people.opened_ms[account])
    logins["account"] = account
    logins["kind"] = rows.LOGIN
    logins["device"] = visits.device[owner]
    logins["ip"] = visits.ip[owner]
    logins["country"] = geography.CITY_COUNTRY[visits.city[owner]]
    logins["success"] = last
    logins["login_method"] = np.where(last, people.login_method[account], rows.PASSWORD)
    telemetry = last & people.has_telemetry[account] & (rng.random(count) < 0.8)
    logins["typist"] = np.where(telemetry, account, -1)
    return logins, owner


def _try_again(refused: Rows, owner: NDArray[np.int64], rng: Generator) -> tuple[Rows, NDArray[np.int64]]:
    """The same payment again, a little later, for half of the refused ones."""
    again = rng.random(len(refused)) < _RETRY
    retries = refused[again].copy()
    retries["time_ms"] += (SECOND_MS * (6.0 + rng.exponential(40.0, size=len(retries)))).astype(np.int64)
    retries["authorization"] = np.where(rng.random(len(retries)) < 0.55, rows.APPROVED, rows.DECLINED)
    return retries, owner[again]


def _add_payees(
    paid: Rows, owner: NDArray[np.int64], people: Population, rng: Generator
) -> tuple[Rows, NDArray[np.int64]]:
    """A change of the profile shortly before some payments to somebody who is not on the account's own list."""
    where = np.flatnonzero(paid["beneficiary"] >= 0)
    account = paid["account"][where].astype(np.int64)
    target = paid["beneficiary"][where][:, None]
    listed = (people.friends[account] == target).any(axis=1) | (people.payees[account] == target).any(axis=1)
    where = where[~listed & (rng.random(len(where)) < 0.7)]
    changes = blank(len(where))
    changes["time_ms"] = paid["time_ms"][where] - (rng.exponential(240.0, size=len(where)) * SECOND_MS).astype(np.int64)
    changes["time_ms"] = np.maximum(changes["time_ms"], people.opened_ms[paid["account"][where]])
    for name in ("account", "device", "ip"):
        changes[name] = paid[name][where]
    changes["kind"] = rows.PROFILE_CHANGE
    changes["field"] = BENEFICIARY_FIELD
    return changes, owner[where]
