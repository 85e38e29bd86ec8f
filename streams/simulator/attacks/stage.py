"""The platform as attackers find it: victims, recruits, fresh devices and addresses, moments to begin."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streams.simulator import behaviour, geography, population
from streams.simulator.merchants import Merchants
from streams.simulator.population import Population
from streams.simulator.scenario import HOUR_MS, SECOND_MS, Scenario

_WARM_UP = 0.04  # nothing happens in the first part of the time: there is nobody yet to imitate
_TRIES = 40


class Hands(NamedTuple):
    """Who acts, and from what: a device (-1: none), an address, a city, a typist, a manner of `behaviour`."""

    device: int
    ip: int
    city: int
    typist: int
    manner: int = behaviour.OWNER


@dataclass(slots=True)
class Stage:
    """The platform, its dice, and what attackers have used of it so far: it changes as it is used."""

    scenario: Scenario
    people: Population
    merchants: Merchants
    rng: Generator
    recruited: set[int] = field(default_factory=set)
    strangers: int = 0

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < probability)

    def uniform(self, low: float, high: float) -> float:
        """A number between `low` and `high`."""
        return float(self.rng.uniform(low, high))

    def lognormal(self, median: float, sigma: float) -> float:
        """A positive number with this median; `sigma` is the deviation of its logarithm."""
        return float(median * np.exp(sigma * self.rng.standard_normal()))

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both possible."""
        return int(self.rng.integers(low, high + 1))

    def pause_ms(self, median_seconds: float, sigma: float = 0.8) -> float:
        """A pause between two steps of one person."""
        return self.lognormal(median_seconds, sigma) * SECOND_MS

    def one_of(self, choices: NDArray[np.int64]) -> int:
        """One of the choices, all equally likely."""
        return int(choices[self.rng.integers(0, len(choices))])

    def begin(self, longest_ms: float) -> int:
        """A time at which something that takes at most `longest_ms` can begin and still end within the scenario."""
        span = self.scenario.end_ms - self.scenario.start_ms
        room = max(0.0, 1.0 - _WARM_UP - longest_ms / span)
        return int(self.scenario.start_ms + span * (_WARM_UP + room * self.rng.random()))

    def shortened(self, wanted_ms: float) -> float:
        """`wanted_ms`, or half of the scenario if that is less."""
        return min(wanted_ms, 0.5 * (self.scenario.end_ms - self.scenario.start_ms))

    def victim(self, at_ms: float) -> int:
        """An account that exists at that time and that no attacker owns."""
        for _ in range(_TRIES):
            account = self.whole(0, len(self.people) - 1)
            if self.people.opened_ms[account] <= at_ms and account not in self.recruited:
                return account
        return int(np.argmin(self.people.opened_ms))

    def recruit(self, at_ms: float, other_than: int = -1) -> int:
        """An account, not `other_than`, that exists at that time and now belongs to an attacker."""
        account = self.victim(at_ms)
        while account == other_than:
            account = self.whole(0, len(self.people) - 1)
        self.recruited.add(account)
        return account

    def applicants(self, count: int) -> list[int]:
        """Up to `count` accounts opened within the scenario that now belong to an attacker, in order of opening."""
        free = [account for account in np.flatnonzero(self.people.is_new).tolist() if account not in self.recruited]
        if not free:
            return []
        free.sort(key=lambda account: int(self.people.opened_ms[account]))
        first = self.whole(0, max(0, len(free) - count))
        chosen = free[first : first + count]
        self.recruited.update(chosen)
        return chosen

    def owner(self, account: int, at_ms: float) -> Hands:
        """The account's own hands on its usual device at home."""
        people = self.people
        one = np.array([account])
        device = int(people.device(one, np.array([int(at_ms)]), np.zeros(1, dtype=np.int64))[0])
        return Hands(device, int(people.home_address[account]), int(people.city[account]), account)

    def stranger(self, account: int, *, nearby: float, cloned: float = 0.0) -> Hands:
        """A thief at work on this account.

        Args:
            account: the victim.
            nearby: probability of an address in the victim's own country (a residential proxy).
            cloned: probability that the device shows the victim's own fingerprint.
        """
        home = int(self.people.city[account])
        city = home if self.chance(nearby) else self.whole(0, len(geography.CITIES) - 1)
        self.strangers += 1
        device = population.first_free_device(self.people) + self.strangers
        if self.chance(cloned):
            device = int(self.people.device_codes[account, 0])
        # a third of them paste and hurry less than others think: their manner does not give them away
        manner = behaviour.OWNER if self.chance(0.35) else behaviour.STRANGER
        return Hands(device, self.address(city), city, len(self.people) + self.strangers, manner)

    def address(self, city: int) -> int:
        """A fresh address in the city's country; one time in four a carrier's, shared with the innocent."""
        country = np.array([int(geography.CITY_COUNTRY[city])])
        draw = geography.carrier_addresses if self.chance(0.25) else geography.addresses
        return int(draw(country, self.rng)[0])

    def throwaway_email(self) -> int:
        """An e-mail address that belongs to nobody else."""
        return int(population.other_emails(self.people, 1, self.rng)[0])

    def outside_payee(self) -> int:
        """A beneficiary outside the platform that nobody has paid before."""
        return int(population.fresh_codes(1, self.rng)[0])

    def waking(self, account: int, day_ms: float) -> int:
        """A time on the day of `day_ms` in the account's usual hours."""
        hour = self.people.peak_hour[account] + self.people.hour_spread[account] * self.rng.standard_normal()
        offset = geography.CITY_UTC_OFFSET_HOURS[self.people.city[account]]
        midnight = int(day_ms) - int(day_ms) % (24 * HOUR_MS)
        at_ms = midnight + int(((hour - offset) % 24.0) * HOUR_MS)
        return int(np.clip(at_ms, self.people.opened_ms[account], self.scenario.end_ms - 1))
