"""Amounts of a batch in the base currency: `Rates.to_base_minor` for whole columns."""

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from features.money import CURRENCY_CODES, MAX_AMOUNT_MINOR, Rates

_CODES = np.array(["", *sorted(CURRENCY_CODES)])
_LATER = -1


def currency_name(code: int) -> str:
    """The currency of a code of `CURRENCY_CODES`.

    >>> currency_name(CURRENCY_CODES["EUR"])
    'EUR'
    """
    return str(_CODES[code])


def without_rate(currency: NDArray[np.uint8], rates: Rates) -> NDArray[np.intp]:
    """Rows with an amount that `rates` cannot convert; currency 0 is no amount."""
    return np.flatnonzero(~rates.fractions.known[currency])


def to_base_minor(amount_minor: NDArray[np.int64], currency: NDArray[np.uint8], rates: Rates) -> NDArray[np.int64]:
    """Each amount in minor units of the base currency, as `Rates.to_base_minor` gives it; 0 where there is none.

    Args:
        amount_minor: int64[n], each in minor units of its own currency, 0 to `MAX_AMOUNT_MINOR`.
        currency: uint8[n], codes of `CURRENCY_CODES`, all with a rate; 0 = no amount.
        rates: the table in force.

    >>> rates = Rates.from_json({"base": "EUR", "as_of": "2026-01-02", "source": "test", "rates": {"JPY": "160.0"}})
    >>> to_base_minor(np.array([1000, 7]), np.array([CURRENCY_CODES["JPY"], CURRENCY_CODES["EUR"]], np.uint8), rates)
    array([625,   7])
    """
    fractions = rates.fractions
    base_minor = np.empty(len(amount_minor), dtype=np.int64)
    later = _convert(amount_minor, currency, fractions.numerator, fractions.denominator, fractions.most, base_minor)
    if later:
        for row in np.flatnonzero(base_minor == _LATER).tolist():
            base_minor[row] = rates.to_base_minor(int(amount_minor[row]), currency_name(int(currency[row])))
    return base_minor


@compiled
def _convert(
    amount_minor: NDArray[np.int64],
    currency: NDArray[np.uint8],
    numerator: NDArray[np.int64],
    denominator: NDArray[np.int64],
    most: NDArray[np.int64],
    base_minor: NDArray[np.int64],
) -> int:
    """Convert what fits into 64 bits; how many rows do not and are left at -1."""
    later = 0
    for row in range(len(amount_minor)):
        code, amount = currency[row], amount_minor[row]
        if code == 0:
            base_minor[row] = 0
        elif amount > most[code]:
            base_minor[row] = _LATER
            later += 1
        else:
            product = amount * numerator[code]
            quotient = product // denominator[code]
            twice = 2 * (product - quotient * denominator[code])
            if twice > denominator[code] or (twice == denominator[code] and quotient & 1):  # half to even
                quotient += 1
            base_minor[row] = min(quotient, MAX_AMOUNT_MINOR)
    return later
