"""Amounts as people and shops write them: converted to the currency, rounded, in its own minor unit."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streams.simulator.geography import CITIES
from streams.simulator.rows import APPLICATION, ATM, BNPL, CARD, PAYMENT, Rows


class Currency(NamedTuple):
    """ISO 4217 code, decimal places, and how many units one euro buys (a fixed rate of the simulation)."""

    code: str
    decimals: int
    per_euro: float


CURRENCIES: tuple[Currency, ...] = (
    Currency("EUR", 2, 1.0),
    Currency("GBP", 2, 0.85),
    Currency("PLN", 2, 4.3),
    Currency("CZK", 2, 25.0),
    Currency("SEK", 2, 11.3),
    Currency("CHF", 2, 0.95),
    Currency("TRY", 2, 38.0),
    Currency("USD", 2, 1.08),
    Currency("AED", 2, 3.97),
    Currency("KWD", 3, 0.333),
    Currency("SGD", 2, 1.45),
    Currency("JPY", 0, 163.0),
)
_CODES = [currency.code for currency in CURRENCIES]
CITY_CURRENCY: NDArray[np.int8] = np.array([_CODES.index(city.currency) for city in CITIES], dtype=np.int8)
PER_EURO: NDArray[np.float64] = np.array([currency.per_euro for currency in CURRENCIES])
MINOR_PER_MAJOR: NDArray[np.int64] = np.array([10**currency.decimals for currency in CURRENCIES])
_NINETY_NINES, _WHOLE = 0.38, 0.10  # shares of shop prices that end in .99 and in .00
_ROUND_TRANSFERS = 0.65


def price(rows: Rows, rng: Generator) -> None:
    """Fill `amount_minor` of payments and applications from `cents` and `currency`, in place; never below 1.

    Shop prices often end in .99, people send round sums, cash machines give only notes.
    """
    draws = rng.random(len(rows))
    where = np.flatnonzero((rows["kind"] == PAYMENT) | (rows["kind"] == APPLICATION))
    currency = rows["currency"][where].astype(np.int64)
    per_major = MINOR_PER_MAJOR[currency].astype(np.float64)
    major = rows["cents"][where] / 100.0 * PER_EURO[currency]
    draw = draws[where]
    method = rows["method"][where]
    shop = (method == CARD) | (method == BNPL)
    cash = rows["channel"][where] == ATM
    sent = (rows["kind"][where] == APPLICATION) | (~shop & (draw < _ROUND_TRANSFERS))
    note = _leading_step(major)
    rounded = np.where(shop & (draw < _NINETY_NINES), np.floor(major) + 0.99, major)
    rounded = np.where(shop & (draw > 1.0 - _WHOLE), np.ceil(major), rounded)
    rounded = np.where(sent | cash, np.maximum(np.round(major / note), 1.0) * note, rounded)
    rows["amount_minor"][where] = np.maximum(np.round(rounded * per_major), 1.0).astype(np.int64)


def _leading_step(major: NDArray[np.float64]) -> NDArray[np.float64]:
    """The step of a round sum of this size: 5 for sums of tens, 50 for hundreds, 500 for thousands."""
    digits = np.floor(np.log10(np.maximum(major, 10.0)))
    return 5.0 * np.power(10.0, digits - 1.0)


def euro_cents(rows: Rows) -> NDArray[np.float64]:
    """What `amount_minor` is worth in euro cents at the simulation's rates; 0 where there is no amount."""
    currency = np.maximum(rows["currency"], 0).astype(np.int64)
    return np.asarray(rows["amount_minor"] * (100.0 / MINOR_PER_MAJOR[currency] / PER_EURO[currency]), dtype=np.float64)
