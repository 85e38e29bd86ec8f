"""Accounts: where each one lives, when it is awake, what it owns, whom it pays, and how its life changes."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streams.simulator import geography
from streams.simulator.merchants import Merchants
from streams.simulator.rows import OTP, PASSKEY, PASSWORD
from streams.simulator.scenario import DAY_MS, Scenario

DEVICES = 4
"""Device codes per account: three owned from the start at most, and the one that replaces the first."""
REPLACEMENT = DEVICES - 1
FAVOURITES = 14
FRIENDS = 5
CARDS = 2
NEVER_MS = 2**62

_OPENED_WITHIN = 0.10  # share of accounts opened within the simulated time
_HOUSEHOLDS = 0.06  # share of accounts that also use another account's device and address
_REPLACED_PER_DAY = 0.0030
_TRIPS_PER_DAY = 0.0035
_TELEMETRY = 0.65  # share of accounts whose application reports session summaries
_PAYEES = 4
_FRESH = 1 << 40
_GIVES_EMAIL, _ALIAS = 0.7, 0.03


@dataclass(frozen=True, slots=True)
class Population:
    """All accounts as columns; an account is its position. Times are epoch milliseconds.

    Attributes:
        wealth: factor of amounts, median 1.
        activity: relative number of sessions per day.
        peak_hour, hour_spread: local time of use, mean and standard deviation in hours.
        online, sending, credit: shares of sessions that are online, that send money, of baskets bought on credit.
        opened_ms: first moment of life; the scenario's start for accounts that are older.
        replaced_ms: from then on the first device is the replacement; `NEVER_MS` if it lasts.
        devices, cards: how many are in use.
        friends: account numbers paid person to person, most frequent first; payees: beneficiary codes of transfers.
        trip_start_ms, trip_end_ms, trip_city: one journey; it ends before it starts where there is none.
    """

    city: NDArray[np.int64]
    wealth: NDArray[np.float64]
    activity: NDArray[np.float64]
    peak_hour: NDArray[np.float64]
    hour_spread: NDArray[np.float64]
    online: NDArray[np.float64]
    sending: NDArray[np.float64]
    credit: NDArray[np.float64]
    opened_ms: NDArray[np.int64]
    is_new: NDArray[np.bool_]
    replaced_ms: NDArray[np.int64]
    devices: NDArray[np.int64]
    device_codes: NDArray[np.int64]
    home_address: NDArray[np.int64]
    work_address: NDArray[np.int64]
    cards: NDArray[np.int64]
    favourites: NDArray[np.int64]
    friends: NDArray[np.int64]
    payees: NDArray[np.int64]
    trip_start_ms: NDArray[np.int64]
    trip_end_ms: NDArray[np.int64]
    trip_city: NDArray[np.int64]
    has_telemetry: NDArray[np.bool_]
    login_method: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.city)

    @property
    def country(self) -> NDArray[np.int64]:
        """Home country of each account, an index of `geography.COUNTRIES`."""
        return geography.CITY_COUNTRY[self.city].astype(np.int64)

    def device(
        self, accounts: NDArray[np.int64], at_ms: NDArray[np.int64], rank: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Device code of each account's `rank`-th device (0 is the usual one) at that time."""
        replaced = (rank == 0) & (at_ms >= self.replaced_ms[accounts])
        devices: NDArray[np.int64] = self.device_codes[accounts, np.where(replaced, REPLACEMENT, rank)]
        return devices


def kiosk_codes(population: Population) -> NDArray[np.int64]:
    """Device codes of the public terminals, one per city: many accounts on one device, and no harm in it."""
    return len(population) * DEVICES + np.arange(len(geography.CITIES))


def first_free_device(population: Population) -> int:
    """The lowest device code that nobody owns."""
    return len(population) * DEVICES + len(geography.CITIES)


def fresh_codes(count: int, rng: Generator) -> NDArray[np.int64]:
    """Codes of devices or outside beneficiaries that nobody else has (up to a chance of one in a trillion)."""
    return rng.integers(_FRESH, 2 * _FRESH, size=count)


def other_emails(people: Population, count: int, rng: Generator) -> NDArray[np.int64]:
    """Codes of e-mail addresses that are nobody's usual one."""
    return len(people) + rng.integers(0, 1 << 30, size=count)


def emails(people: Population, accounts: NDArray[np.int64], rng: Generator) -> NDArray[np.int64]:
    """The e-mail address each buyer gives: none at all, the usual one, now and then an alias or somebody else's."""
    draw = rng.random(len(accounts))
    given = np.where(draw < _ALIAS, other_emails(people, len(accounts), rng), accounts)
    return np.where(draw < _GIVES_EMAIL, given, -1)


def settle(scenario: Scenario, merchants: Merchants, rng: Generator) -> Population:
    """Draw the accounts of a scenario."""
    count = scenario.accounts
    numbers = np.arange(count)
    city = rng.choice(len(geography.CITIES), size=count, p=geography.CITY_SHARE)
    country = geography.CITY_COUNTRY[city].astype(np.int64)
    span_ms = scenario.days * DAY_MS

    is_new = rng.random(count) < _OPENED_WITHIN
    opened_ms = np.full(count, scenario.start_ms)
    opened_ms[is_new] += (rng.random(int(is_new.sum())) * span_ms * 0.85).astype(np.int64)
    replaced = rng.random(count) < 1.0 - np.exp(-_REPLACED_PER_DAY * scenario.days)
    replaced_ms = np.where(replaced, scenario.start_ms + rng.integers(0, span_ms, size=count), NEVER_MS)
    replaced_ms[replaced_ms < opened_ms] = NEVER_MS

    travels = rng.random(count) < 1.0 - np.exp(-_TRIPS_PER_DAY * scenario.days)
    trip_start_ms = scenario.start_ms + rng.integers(0, span_ms, size=count)
    length_ms = np.minimum(rng.lognormal(np.log(5.0), 0.6, size=count) * DAY_MS, span_ms / 3).astype(np.int64)
    trip_end_ms = np.where(travels, trip_start_ms + length_ms, trip_start_ms - 1)

    device_codes = numbers[:, None] * DEVICES + np.arange(DEVICES)
    home_address = geography.addresses(country, rng)
    shares_home = rng.random(count) < _HOUSEHOLDS
    partner = (numbers + 1) % count
    device_codes[shares_home, 1] = partner[shares_home] * DEVICES
    home_address[shares_home] = home_address[partner[shares_home]]
    devices = rng.choice([1, 2, 3], size=count, p=[0.55, 0.33, 0.12])
    devices[shares_home] = np.maximum(devices[shares_home], 2)

    return Population(
        city=city,
        wealth=rng.lognormal(0.0, 0.5, size=count),
        activity=rng.lognormal(0.0, 0.8, size=count),
        peak_hour=np.clip(rng.normal(14.5, 3.0, size=count), 6.0, 23.0),
        hour_spread=rng.uniform(2.0, 4.5, size=count),
        online=rng.beta(3.0, 3.0, size=count),
        sending=rng.beta(2.0, 7.0, size=count),
        credit=rng.beta(0.8, 3.0, size=count),
        opened_ms=opened_ms,
        is_new=is_new,
        replaced_ms=replaced_ms,
        devices=devices,
        device_codes=device_codes,
        home_address=home_address,
        work_address=geography.addresses(country, rng),
        cards=rng.choice([1, 2], size=count, p=[0.75, 0.25]),
        favourites=_favourites(city, country, merchants, rng),
        friends=_friends(count, rng),
        payees=_payees(count, rng),
        trip_start_ms=trip_start_ms,
        trip_end_ms=trip_end_ms,
        trip_city=(city + rng.integers(1, len(geography.CITIES), size=count)) % len(geography.CITIES),
        has_telemetry=rng.random(count) < _TELEMETRY,
        login_method=rng.choice(np.array([PASSWORD, PASSKEY, OTP], dtype=np.int8), size=count, p=[0.6, 0.25, 0.15]),
    )


def _favourites(
    city: NDArray[np.int64], country: NDArray[np.int64], merchants: Merchants, rng: Generator
) -> NDArray[np.int64]:
    """Merchants that each account returns to: shops in the first half of the columns, online in the second."""
    half = FAVOURITES // 2
    columns = [merchants.in_city.draw(city, rng) for _ in range(half)]
    columns += [merchants.in_country.draw(country, rng) for _ in range(half // 2)]
    columns += [merchants.anywhere.draw(np.zeros_like(city), rng) for _ in range(half - half // 2)]
    return np.column_stack(columns)


def _friends(count: int, rng: Generator) -> NDArray[np.int64]:
    """Accounts paid person to person. A few are paid by very many (club treasurers, landlords, small sellers)."""
    popular = rng.integers(0, count, size=max(3, count // 60))
    weights = 1.0 / (np.arange(len(popular)) + 2.0)
    friends = rng.integers(1, count, size=(count, FRIENDS))
    friends = (np.arange(count)[:, None] + friends) % count  # never the account itself
    collects = rng.choice(popular, size=count, p=weights / weights.sum())
    joins = (rng.random(count) < 0.3) & (collects != np.arange(count))
    friends[joins, 1] = collects[joins]
    return friends


def _payees(count: int, rng: Generator) -> NDArray[np.int64]:
    """Beneficiary codes outside the platform: half shared (utilities, landlords), half private."""
    shared = max(20, count // 20)
    weights = 1.0 / (np.arange(shared) + 2.0)
    half = _PAYEES // 2
    common = count + rng.choice(shared, size=(count, half), p=weights / weights.sum())
    return np.column_stack([common, fresh_codes(count * half, rng).reshape(count, half)])
