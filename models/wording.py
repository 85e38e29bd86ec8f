"""Numbers in the words of an analyst: "12 minutes", "900.00 EUR", "03:00".

Every text is a function of the value alone, so that a verdict computed again reads the same.
"""

from collections.abc import Callable
from typing import NamedTuple

from features.columns import CHANNELS, METHODS

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_METHOD_NAMES = {code: name for name, code in METHODS.items()}
_CHANNEL_NAMES = {code: name for name, code in CHANNELS.items()}


class Money(NamedTuple):
    """The base currency, as `Money(rates.base, EXPONENTS[rates.base])`.

    Attributes:
        currency: ISO 4217 code.
        digits: decimal digits of its minor unit: 2 for the euro, 0 for the yen.
    """

    currency: str
    digits: int


def number_text(value: float) -> str:
    """A number for people: whole ones as they are, others to three significant digits.

    >>> number_text(7.0), number_text(0.40000001), number_text(12345.6), number_text(0.01234)
    ('7', '0.4', '12,346', '0.0123')
    """
    if value == int(value) or abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def duration_text(seconds: float) -> str:
    """A span of time in the unit that reads best.

    >>> duration_text(1), duration_text(45), duration_text(720), duration_text(3 * 3600 + 600), duration_text(864000)
    ('1 second', '45 seconds', '12 minutes', '3.2 hours', '10 days')
    """
    if seconds < 90:
        unit, length = "second", 1
    elif seconds < 90 * 60:
        unit, length = "minute", 60
    elif seconds < 48 * 3_600:
        unit, length = "hour", 3_600
    else:
        unit, length = "day", 86_400
    text = number_text(round(seconds / length, 1))
    return f"{text} {unit}" if text == "1" else f"{text} {unit}s"


def money_text(minor: float, money: Money) -> str:
    """An amount of the base currency in its major unit.

    >>> money_text(90_000, Money("EUR", 2)), money_text(90_000, Money("JPY", 0))
    ('900.00 EUR', '90,000 JPY')
    """
    return _money_words(money)(minor)


def _money_words(money: Money) -> Callable[[float], str]:
    in_major = 10**money.digits
    digits = f",.{money.digits}f"
    return lambda minor: f"{format(minor / in_major, digits)} {money.currency}"


def value_text(value: float, unit: str, name: str, money: Money) -> str:
    """One feature's value in words, by its unit.

    >>> value_text(3.0, "hour", "event_local_hour", Money("EUR", 2))
    '03:00'
    """
    return words_of(unit, name, money)(value)


def words_of(unit: str, name: str, money: Money) -> Callable[[float], str]:
    """What puts the values of a feature with this unit and name into words."""
    if unit == "minor":
        return _money_words(money)
    if unit == "s":
        return duration_text
    if unit == "hour":
        return lambda value: f"{int(value):02d}:00"
    if unit == "weekday":
        return lambda value: _WEEKDAYS[int(value)]
    if unit == "code":
        names = _METHOD_NAMES if name == "event_method" else _CHANNEL_NAMES
        return lambda value: names.get(int(value), number_text(value))
    return number_text
