"""Where accounts live and merchants trade: cities with position, standard UTC offset, currency, and address blocks."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streams.simulator.identifiers import BANK, scrambled


class City(NamedTuple):
    """One city; `weight` is its share of accounts, relative to the others; `utc_offset_hours` is standard time."""

    name: str
    country: str
    latitude: float
    longitude: float
    utc_offset_hours: int
    currency: str
    weight: float


CITIES: tuple[City, ...] = (
    City("Berlin", "DE", 52.52, 13.40, 1, "EUR", 12),
    City("Hamburg", "DE", 53.55, 9.99, 1, "EUR", 7),
    City("Munich", "DE", 48.14, 11.58, 1, "EUR", 8),
    City("Paris", "FR", 48.86, 2.35, 1, "EUR", 11),
    City("Lyon", "FR", 45.76, 4.84, 1, "EUR", 5),
    City("Madrid", "ES", 40.42, -3.70, 1, "EUR", 6),
    City("Barcelona", "ES", 41.39, 2.17, 1, "EUR", 5),
    City("Rome", "IT", 41.90, 12.50, 1, "EUR", 4),
    City("Milan", "IT", 45.46, 9.19, 1, "EUR", 5),
    City("Amsterdam", "NL", 52.37, 4.90, 1, "EUR", 5),
    City("Brussels", "BE", 50.85, 4.35, 1, "EUR", 3),
    City("Vienna", "AT", 48.21, 16.37, 1, "EUR", 3),
    City("Lisbon", "PT", 38.72, -9.14, 0, "EUR", 2),
    City("Dublin", "IE", 53.35, -6.26, 0, "EUR", 2),
    City("London", "GB", 51.51, -0.13, 0, "GBP", 7),
    City("Manchester", "GB", 53.48, -2.24, 0, "GBP", 3),
    City("Warsaw", "PL", 52.23, 21.01, 1, "PLN", 4),
    City("Prague", "CZ", 50.08, 14.44, 1, "CZK", 2),
    City("Stockholm", "SE", 59.33, 18.07, 1, "SEK", 2),
    City("Zurich", "CH", 47.37, 8.54, 1, "CHF", 2),
    City("Istanbul", "TR", 41.01, 28.98, 3, "TRY", 1),
    City("New York", "US", 40.71, -74.01, -5, "USD", 3),
    City("Chicago", "US", 41.88, -87.63, -6, "USD", 1.5),
    City("Dubai", "AE", 25.20, 55.27, 4, "AED", 0.6),
    City("Kuwait City", "KW", 29.38, 47.98, 3, "KWD", 1.2),
    City("Singapore", "SG", 1.35, 103.82, 8, "SGD", 0.7),
    City("Tokyo", "JP", 35.68, 139.69, 9, "JPY", 1.5),
    City("Osaka", "JP", 34.69, 135.50, 9, "JPY", 0.8),
)

COUNTRIES: tuple[str, ...] = tuple(dict.fromkeys(city.country for city in CITIES))
CITY_COUNTRY: NDArray[np.int8] = np.array([COUNTRIES.index(city.country) for city in CITIES], dtype=np.int8)
CITY_LATITUDE: NDArray[np.float64] = np.array([city.latitude for city in CITIES])
CITY_LONGITUDE: NDArray[np.float64] = np.array([city.longitude for city in CITIES])
CITY_UTC_OFFSET_HOURS: NDArray[np.int64] = np.array([city.utc_offset_hours for city in CITIES])
_WEIGHT = np.array([city.weight for city in CITIES])
CITY_SHARE: NDArray[np.float64] = _WEIGHT / _WEIGHT.sum()

_FIRST_OCTETS = np.array([31, 37, 46, 62, 77, 78, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95])
_CARRIER_ADDRESSES = 24
_BANKS = 9


def addresses(countries: NDArray[np.int64], rng: Generator) -> NDArray[np.int64]:
    """A random IPv4 address of each country's block, as a number."""
    return (_FIRST_OCTETS[countries] << 24) | rng.integers(1 << 22, 1 << 24, size=len(countries))


def carrier_addresses(countries: NDArray[np.int64], rng: Generator) -> NDArray[np.int64]:
    """One of the few addresses behind which a country's mobile carriers hide all their customers."""
    return (_FIRST_OCTETS[countries] << 24) | (rng.integers(0, _CARRIER_ADDRESSES, size=len(countries)) << 8) | 1


def address_text(address: int) -> str:
    """Dotted form of an IPv4 address.

    >>> address_text(31 << 24 | 257)
    '31.0.1.1'
    """
    return f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"


def bank_numbers(accounts: NDArray[np.int64], countries: NDArray[np.int64]) -> NDArray[np.int64]:
    """The six-digit issuer number (BIN) on the cards of each account: one of nine banks of its country."""
    bank = (scrambled(accounts, BANK) % np.uint64(_BANKS)).astype(np.int64)
    return 400_000 + countries * 5_003 + bank * 421
