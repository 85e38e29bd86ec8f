"""Merchants: what they sell, where, how popular they are, and how coarse their clocks are."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streams.simulator.geography import CITIES, CITY_COUNTRY, CITY_SHARE, COUNTRIES


class Category(NamedTuple):
    """A line of trade: ISO 18245 code, share of merchants, share of them online, median basket in euro cents, its
    spread (sigma of the logarithm), share of declined payments, and whether baskets are bought on credit."""

    code: int
    share: float
    online: float
    median_cents: float
    sigma: float
    declined: float
    on_credit: bool


CATEGORIES: tuple[Category, ...] = (
    Category(5411, 0.15, 0.10, 3_200, 0.70, 0.015, False),  # groceries
    Category(5812, 0.14, 0.05, 2_800, 0.60, 0.015, False),  # restaurants
    Category(5814, 0.08, 0.30, 1_100, 0.45, 0.015, False),  # fast food
    Category(5541, 0.06, 0.00, 4_800, 0.40, 0.020, False),  # fuel
    Category(4121, 0.04, 0.60, 1_300, 0.60, 0.030, False),  # taxis
    Category(5912, 0.06, 0.20, 1_900, 0.60, 0.015, False),  # pharmacies
    Category(5651, 0.10, 0.55, 5_500, 0.65, 0.030, True),  # clothing
    Category(5732, 0.06, 0.60, 13_500, 0.95, 0.045, True),  # electronics
    Category(5311, 0.06, 0.45, 6_500, 0.75, 0.030, True),  # department stores
    Category(5944, 0.02, 0.40, 14_000, 0.90, 0.050, True),  # jewellery
    Category(5816, 0.07, 1.00, 900, 0.90, 0.060, False),  # digital games
    Category(4899, 0.04, 1.00, 1_200, 0.35, 0.050, False),  # subscriptions
    Category(8398, 0.02, 1.00, 1_500, 0.90, 0.030, False),  # charities
    Category(4722, 0.04, 0.85, 24_000, 0.90, 0.045, True),  # travel agencies
    Category(7011, 0.03, 0.50, 16_000, 0.70, 0.035, True),  # hotels
    Category(6051, 0.01, 1.00, 15_000, 1.00, 0.080, False),  # quasi-cash
    Category(6011, 0.02, 0.00, 8_000, 0.60, 0.030, False),  # cash machines
)
CODES: NDArray[np.int64] = np.array([category.code for category in CATEGORIES])
CASH_MACHINE, CHARITY, GAMES, QUASI_CASH, SUBSCRIPTIONS = (
    int(np.flatnonzero(code == CODES)[0]) for code in (6011, 8398, 5816, 6051, 4899)
)
RESOLD: NDArray[np.int64] = np.flatnonzero(np.isin(CODES, (5732, 5311, 5944, 5651)))
"""Categories whose goods are easily turned into money."""
MEDIAN_CENTS: NDArray[np.float64] = np.array([category.median_cents for category in CATEGORIES])
SIGMA: NDArray[np.float64] = np.array([category.sigma for category in CATEGORIES])
DECLINED_SHARE: NDArray[np.float64] = np.array([category.declined for category in CATEGORIES])
ON_CREDIT: NDArray[np.bool_] = np.array([category.on_credit for category in CATEGORIES])
_SHARE = np.array([category.share for category in CATEGORIES])
_ONLINE = np.array([category.online for category in CATEGORIES])
_COARSE_CLOCKS = 0.25


class Market:
    """Draws members of groups, each with a probability in proportion to its weight within the group.

    >>> market = Market(members=np.array([10, 11, 12]), groups=np.array([0, 1, 1]), weights=np.array([1.0, 0.0, 3.0]))
    >>> market.draw(np.array([1, 0, 1]), np.random.default_rng(0)).tolist()
    [12, 10, 12]
    """

    def __init__(self, members: NDArray[np.int64], groups: NDArray[np.int64], weights: NDArray[np.float64]) -> None:
        order = np.argsort(groups, kind="stable")
        self._members = members[order]
        self._bounds = np.searchsorted(groups[order], np.arange(int(groups.max()) + 2))
        self._cumulative = np.concatenate([[0.0], np.cumsum(weights[order])])

    def draw(self, groups: NDArray[np.int64], rng: Generator) -> NDArray[np.int64]:
        """One member for each group named; every named group needs a member of positive weight."""
        low, high = self._cumulative[self._bounds[groups]], self._cumulative[self._bounds[groups + 1]]
        target = low + rng.random(len(groups)) * (high - low)
        place = np.searchsorted(self._cumulative, target, side="right") - 1
        drawn: NDArray[np.int64] = self._members[np.minimum(place, self._bounds[groups + 1] - 1)]
        return drawn


@dataclass(frozen=True, slots=True)
class Merchants:
    """All merchants as columns; a merchant is its position. `price_factor` scales the baskets of its category."""

    category: NDArray[np.int64]
    city: NDArray[np.int64]
    online: NDArray[np.bool_]
    popularity: NDArray[np.float64]
    price_factor: NDArray[np.float64]
    coarse_clock: NDArray[np.bool_]
    in_city: Market
    """Shops by city."""
    cash_in_city: Market
    """Cash machines by city."""
    in_country: Market
    """Online merchants by country."""
    anywhere: Market
    """Online merchants, all in group 0."""

    @property
    def country(self) -> NDArray[np.int64]:
        """Country of each merchant, an index of `geography.COUNTRIES`."""
        return CITY_COUNTRY[self.city].astype(np.int64)

    def of_categories(self, categories: NDArray[np.int64], *, online: bool) -> NDArray[np.int64]:
        """Merchants of these categories, online or in shops."""
        return np.flatnonzero(np.isin(self.category, categories) & (self.online == online))


def open_shops(accounts: int, rng: Generator) -> Merchants:
    """Merchants for a platform of this many accounts: one for every five, at least 12 per city and country."""
    # every city has shops and a cash machine, and every country and important category an online merchant
    fixed_city = np.concatenate([np.repeat(np.arange(len(CITIES)), 9), np.arange(len(CITIES))])
    fixed_category = np.concatenate([np.tile(np.arange(9), len(CITIES)), np.full(len(CITIES), CASH_MACHINE)])
    country_city = np.array([int(np.flatnonzero(country == CITY_COUNTRY)[0]) for country in range(len(COUNTRIES))])
    online_city = np.repeat(country_city, 3)
    online_category = rng.choice(np.flatnonzero(_ONLINE > 0), size=len(online_city))
    key_category = np.repeat(np.concatenate([RESOLD, [GAMES, CHARITY, QUASI_CASH, SUBSCRIPTIONS]]), 3)
    key_city = rng.choice(len(CITIES), size=len(key_category), p=CITY_SHARE)
    more = max(60, accounts // 5)
    more_category = rng.choice(len(CATEGORIES), size=more, p=_SHARE)
    category = np.concatenate([fixed_category, online_category, key_category, more_category])
    city = np.concatenate([fixed_city, online_city, key_city, rng.choice(len(CITIES), size=more, p=CITY_SHARE)])
    online = np.concatenate(
        [
            np.zeros(len(fixed_city), dtype=bool),
            np.ones(len(online_city) + len(key_city), dtype=bool),
            rng.random(more) < _ONLINE[more_category],
        ]
    )
    count = len(category)
    order = rng.permutation(count)
    category, city, online = category[order], city[order], online[order]
    # Zipf: a few merchants have much of the trade
    popularity = np.asarray(1.0 / (rng.permutation(count) + 3.0) ** 0.85, dtype=np.float64)
    everyone = np.arange(count)

    def market(which: NDArray[np.bool_], groups: NDArray[np.int64]) -> Market:
        return Market(everyone[which], groups[which], popularity[which])

    cash = category == CASH_MACHINE
    country = CITY_COUNTRY[city].astype(np.int64)
    return Merchants(
        category=category,
        city=city,
        online=online,
        popularity=popularity,
        price_factor=rng.lognormal(0.0, 0.3, size=count),
        coarse_clock=rng.random(count) < _COARSE_CLOCKS,
        in_city=market(~online & ~cash, city),
        cash_in_city=market(cash, city),
        in_country=market(online, country),
        anywhere=market(online, np.zeros(count, dtype=np.int64)),
    )
