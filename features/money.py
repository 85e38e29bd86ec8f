"""Money as integers: ISO 4217 minor units and exact conversion to one base currency.

No binary floating point anywhere: a rate is a decimal string, a conversion is one integer multiplication and one
integer division, so the same amount gives the same result on every machine and in every replay.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self, get_args

import numpy as np
from numpy.typing import NDArray

from features.errors import AssayError

MAX_AMOUNT_MINOR: Final = 10**15
"""The largest amount of the contract, and the value at which conversions saturate."""

# ISO 4217 list one as of 2026-01-01 without the codes that have no minor unit (metals, XDR, XSU, XUA, XTS, XXX), and
# with the codes withdrawn since 2024 (ANG, BGN, SLL, ZWL): logs that are replayed still carry them.
# fmt: off
Currency = Literal[
    "AED", "AFN", "ALL", "AMD", "ANG", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BGN", "BHD", "BIF",
    "BMD", "BND", "BOB", "BOV", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHE", "CHF", "CHW", "CLF",
    "CLP", "CNY", "COP", "COU", "CRC", "CUP", "CVE", "CZK", "DJF", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR",
    "FJD", "FKP", "GBP", "GEL", "GHS", "GIP", "GMD", "GNF", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF", "IDR", "ILS",
    "INR", "IQD", "IRR", "ISK", "JMD", "JOD", "JPY", "KES", "KGS", "KHR", "KMF", "KPW", "KRW", "KWD", "KYD", "KZT",
    "LAK", "LBP", "LKR", "LRD", "LSL", "LYD", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRU", "MUR", "MVR",
    "MWK", "MXN", "MXV", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK", "NPR", "NZD", "OMR", "PAB", "PEN", "PGK", "PHP",
    "PKR", "PLN", "PYG", "QAR", "RON", "RSD", "RUB", "RWF", "SAR", "SBD", "SCR", "SDG", "SEK", "SGD", "SHP", "SLE",
    "SLL", "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL", "THB", "TJS", "TMT", "TND", "TOP", "TRY", "TTD", "TWD",
    "TZS", "UAH", "UGX", "USD", "USN", "UYI", "UYU", "UYW", "UZS", "VED", "VES", "VND", "VUV", "WST", "XAD", "XAF",
    "XCD", "XCG", "XOF", "XPF", "YER", "ZAR", "ZMW", "ZWG", "ZWL",
]
# fmt: on

_WITHOUT_DECIMALS: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_WITH_THREE_DECIMALS: Final = "BHD IQD JOD KWD LYD OMR TND"
_WITH_FOUR_DECIMALS: Final = "CLF UYW"

EXPONENTS: Final[Mapping[str, int]] = (
    dict.fromkeys(get_args(Currency), 2)
    | dict.fromkeys(_WITHOUT_DECIMALS.split(), 0)
    | dict.fromkeys(_WITH_THREE_DECIMALS.split(), 3)
    | dict.fromkeys(_WITH_FOUR_DECIMALS.split(), 4)
)
"""Decimal places of each currency's minor unit: 2 for EUR (cents), 0 for JPY, 3 for KWD, 4 for CLF."""

CURRENCY_CODES: Final[Mapping[str, int]] = {code: number for number, code in enumerate(sorted(EXPONENTS), 1)}
"""Currencies as small numbers; 0 = absent. They live in memory only, so a longer list may number them anew."""


_LARGEST = 2**62


class Fractions(NamedTuple):
    """A table of rates as arrays, by `CURRENCY_CODES`: base minor units per minor unit, as fractions."""

    known: NDArray[np.bool_]
    """bool[codes]: whether there is a rate; True for 0, no currency."""
    numerator: NDArray[np.int64]
    denominator: NDArray[np.int64]
    """Both int64[codes]; meaningless where `most` is -1."""
    most: NDArray[np.int64]
    """int64[codes]: largest amount that 64 bits are enough to convert; -1 for none."""


@dataclass(frozen=True, slots=True)
class Rates:
    """A fixed table of exchange rates, part of a model's artefact: a replay converts as the first run did.

    Attributes:
        base: currency that amounts are converted to.
        as_of: day of the rates, ``YYYY-MM-DD``.
        source: where the rates come from, for people.
        rates: units of each currency that one unit of `base` buys, as plain decimal strings without trailing zeros.
            The base itself is always in it, with ``"1"``.
        fractions: the same as arrays, for whole columns (`features.conversion`).

    >>> rates = Rates.from_json({"base": "EUR", "as_of": "2026-01-02", "source": "test", "rates": {"JPY": "160.0"}})
    >>> rates.to_base_minor(1000, "JPY"), rates.has("JPY"), rates.has("USD")
    (625, True, False)
    """

    base: str
    as_of: str
    source: str
    rates: Mapping[str, str]
    _ratios: dict[str, tuple[int, int]] = field(init=False, repr=False, compare=False)
    fractions: Fractions = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rates = {code: _canonical(code, rate) for code, rate in self.rates.items()}
        if self.base not in EXPONENTS:
            raise AssayError(f"rates: base is {self.base!r}, expected an ISO 4217 code such as EUR")
        if rates.setdefault(self.base, "1") != "1":
            raise AssayError(f"rates: {self.base} is the base, so its rate is 1, not {rates[self.base]}")
        object.__setattr__(self, "rates", dict(sorted(rates.items())))
        object.__setattr__(self, "_ratios", {code: self._ratio(code, rate) for code, rate in self.rates.items()})
        object.__setattr__(self, "fractions", _fractions(self._ratios))

    def _ratio(self, code: str, rate: str) -> tuple[int, int]:
        """Base minor units per minor unit of `code`, as a fraction in lowest terms."""
        rate_numerator, rate_denominator = Decimal(rate).as_integer_ratio()
        numerator = rate_denominator * 10 ** EXPONENTS[self.base]
        denominator = rate_numerator * 10 ** EXPONENTS[code]
        divisor = math.gcd(numerator, denominator)
        return numerator // divisor, denominator // divisor

    def has(self, currency: str) -> bool:
        """Whether `currency` can be converted."""
        return currency in self._ratios

    def to_base_minor(self, amount_minor: int, currency: str) -> int:
        """Minor units of the base currency, exact, rounded half to even, at most `MAX_AMOUNT_MINOR`.

        `amount_minor` is a whole number >= 0 of minor units of `currency`. A currency outside the table is a
        `KeyError`: ask `has` first.
        """
        numerator, denominator = self._ratios[currency]
        quotient, remainder = divmod(amount_minor * numerator, denominator)
        twice = 2 * remainder
        if twice > denominator or (twice == denominator and quotient & 1):
            quotient += 1
        # min() would take as long as all of this
        return quotient if quotient < MAX_AMOUNT_MINOR else MAX_AMOUNT_MINOR  # noqa: FURB136

    def to_json(self) -> dict[str, Any]:
        """The table as a JSON object in canonical form: equal tables give equal objects, keys in order."""
        return {"as_of": self.as_of, "base": self.base, "rates": dict(self.rates), "source": self.source}

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Self:
        """The table of `to_json`. Raises `AssayError` for a missing member, a code or a rate that cannot be used."""
        missing = {"as_of", "base", "rates", "source"} - table.keys()
        if missing:
            raise AssayError(f"rates: expected the members as_of, base, rates and source; add {sorted(missing)}")
        if not isinstance(table["rates"], Mapping):
            raise AssayError('rates: expected "rates" to be an object of currency codes and decimal strings')
        if not all(isinstance(table[member], str) for member in ("as_of", "base", "source")):
            raise AssayError("rates: expected as_of, base and source to be strings")
        return cls(base=table["base"], as_of=table["as_of"], source=table["source"], rates=table["rates"])

    @classmethod
    def default(cls) -> "Rates":
        """The table that ships with the product: base EUR, illustrative and rounded rates of one past day."""
        return _default()


@cache
def _default() -> Rates:
    return Rates.from_json(json.loads(Path(__file__).with_name("rates.json").read_text(encoding="utf-8")))


def _fractions(ratios: Mapping[str, tuple[int, int]]) -> Fractions:
    codes = 1 + len(CURRENCY_CODES)
    known = np.zeros(codes, dtype=np.bool_)
    numerator, denominator = np.ones(codes, dtype=np.int64), np.ones(codes, dtype=np.int64)
    most = np.full(codes, -1, dtype=np.int64)
    known[0] = True
    for currency, (above, below) in ratios.items():
        code = CURRENCY_CODES[currency]
        known[code] = True
        if max(above, below) < _LARGEST:
            numerator[code], denominator[code], most[code] = above, below, _LARGEST // above
    return Fractions(known, numerator, denominator, most)


def _canonical(code: str, rate: object) -> str:
    """`rate` as a plain decimal string without trailing zeros; `AssayError` if it is not a positive decimal string."""
    if code not in EXPONENTS:
        raise AssayError(f"rates: {code!r} is not an ISO 4217 code with a minor unit; remove it")
    if not isinstance(rate, str):
        raise AssayError(f'rates: {code} is a {type(rate).__name__}, expected a decimal string such as "1.0842"')
    try:
        number = Decimal(rate)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number <= 0 or abs(number.adjusted()) > 30:
        raise AssayError(f"rates: {code} is {rate[:40]!r}, expected a positive decimal number")
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
