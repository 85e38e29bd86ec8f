"""Money: exact to the last minor unit, against fractions that share no code with it."""

import json
from fractions import Fraction
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import features.money
from features.errors import AssayError
from features.money import EXPONENTS, MAX_AMOUNT_MINOR, Currency, Rates

DEFAULT = Rates.default()
TABLE = {"base": "EUR", "as_of": "2026-01-02", "source": "test", "rates": {"USD": "1.25", "JPY": "160", "KWD": "0.4"}}


def naive(rates: Rates, amount_minor: int, currency: str) -> int:
    """The definition: major units, divided by the rate, in base minor units, rounded half to even, at most 10^15."""
    major = Fraction(amount_minor, 10 ** EXPONENTS[currency])
    base = major / Fraction(rates.rates[currency]) * 10 ** EXPONENTS[rates.base]
    return min(round(base), 10**15)


decimals = st.decimals(min_value="0.0001", max_value="100000", places=6).map(str).filter(lambda rate: float(rate) > 0)


@settings(deadline=None)
@given(st.sampled_from(sorted(DEFAULT.rates)), st.integers(0, MAX_AMOUNT_MINOR))
def test_every_conversion_is_exact(currency: str, amount_minor: int) -> None:
    assert DEFAULT.to_base_minor(amount_minor, currency) == naive(DEFAULT, amount_minor, currency)


@settings(deadline=None)
@given(st.sampled_from(get_args(Currency)), st.sampled_from(get_args(Currency)), decimals, st.integers(0, 10**6))
def test_every_conversion_is_exact_with_any_rate_and_base(base: str, currency: str, rate: str, amount: int) -> None:
    rates = Rates(base, "2026-01-02", "test", {currency: "1" if currency == base else rate})
    assert rates.to_base_minor(amount, currency) == naive(rates, amount, currency)


@pytest.mark.parametrize(
    ("amount_minor", "currency", "base_minor"),
    [
        (1999, "EUR", 1999),
        (0, "USD", 0),
        (125, "USD", 100),
        (1000, "JPY", 625),  # 1,000 yen have no minor unit: 6.25 euro
        (1000, "KWD", 250),  # 1,000 fils are one dinar: 2.50 euro
        (10**15, "EUR", 10**15),
        (10**15, "KWD", 25 * 10**13),
        (10**15, "JPY", 625 * 10**12),
    ],
)
def test_conversions_by_hand(amount_minor: int, currency: str, base_minor: int) -> None:
    assert Rates.from_json(TABLE).to_base_minor(amount_minor, currency) == base_minor


def test_halves_go_to_the_even_neighbour() -> None:
    rates = Rates("EUR", "2026-01-02", "test", {"USD": "2"})
    assert [rates.to_base_minor(cents, "USD") for cents in (1, 2, 3, 4, 5, 6, 7)] == [0, 1, 2, 2, 2, 3, 4]


def test_what_is_too_much_saturates() -> None:
    rates = Rates("JPY", "2026-01-02", "test", {"KWD": "0.0001"})
    assert rates.to_base_minor(10**15, "KWD") == MAX_AMOUNT_MINOR
    assert rates.to_base_minor(10**14, "KWD") == MAX_AMOUNT_MINOR
    assert rates.to_base_minor(99_999_999, "KWD") == 999_999_990


def test_a_currency_without_a_rate_is_known_before_it_is_converted() -> None:
    rates = Rates.from_json(TABLE)
    assert rates.has("JPY")
    assert rates.has("EUR")
    assert not rates.has("GBP")
    with pytest.raises(KeyError):
        rates.to_base_minor(1, "GBP")


def test_minor_units_of_iso_4217() -> None:
    assert set(EXPONENTS) == set(get_args(Currency))
    assert len(EXPONENTS) == 169
    assert {code for code, places in EXPONENTS.items() if places == 0} == {
        *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"),
        *("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"),
    }
    assert {code for code, places in EXPONENTS.items() if places > 2} == {
        *("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND", "CLF", "UYW")
    }
    assert EXPONENTS["KWD"] == 3
    assert EXPONENTS["CLF"] == 4
    assert not {"XAU", "XDR", "XTS", "XXX", "DEM", "FRF"} & EXPONENTS.keys()


def test_the_default_table_knows_the_major_currencies() -> None:
    assert DEFAULT.base == "EUR"
    assert DEFAULT.as_of == "2025-06-30"
    assert "Illustrative" in DEFAULT.source
    majors = (
        "USD EUR JPY GBP CHF AUD CAD NZD CNY HKD SGD SEK NOK DKK PLN CZK HUF RON TRY ILS ZAR MXN BRL INR KRW TWD THB"
    )
    more = "IDR MYR PHP VND AED SAR QAR KWD BHD EGP NGN KES CLP COP PEN ARS UAH"
    assert all(map(DEFAULT.has, f"{majors} {more}".split()))
    assert DEFAULT.rates["XOF"] == "655.957"
    assert 80 < DEFAULT.to_base_minor(100, "USD") < 95
    assert 55 < DEFAULT.to_base_minor(100, "JPY") < 62


def test_the_table_that_ships_is_canonical() -> None:
    shipped = Path(features.money.__file__).with_name("rates.json").read_text(encoding="utf-8")
    assert json.dumps(DEFAULT.to_json(), indent=2) + "\n" == shipped


def test_equal_tables_have_one_form() -> None:
    messy = TABLE | {"rates": {"KWD": "0.400", "JPY": "1.6E+2", "EUR": "1.0", "USD": "01.25"}}
    assert Rates.from_json(messy) == Rates.from_json(TABLE)
    assert json.dumps(Rates.from_json(messy).to_json()) == json.dumps(Rates.from_json(TABLE).to_json())
    assert Rates.from_json(TABLE).to_json()["rates"] == {"EUR": "1", "JPY": "160", "KWD": "0.4", "USD": "1.25"}
    assert Rates.from_json(json.loads(json.dumps(DEFAULT.to_json()))) == DEFAULT


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"base": "XXX"}, "'XXX', expected an ISO 4217 code"),
        ({"base": None}, "to be strings"),
        ({"rates": [1]}, "to be an object"),
        ({"rates": {"XAU": "3000"}}, "'XAU' is not an ISO 4217 code"),
        ({"rates": {"USD": 1.25}}, "USD is a float, expected a decimal string"),
        ({"rates": {"USD": "0"}}, "positive decimal number"),
        ({"rates": {"USD": "-1"}}, "positive decimal number"),
        ({"rates": {"USD": "NaN"}}, "positive decimal number"),
        ({"rates": {"USD": "Infinity"}}, "positive decimal number"),
        ({"rates": {"USD": "1e999999"}}, "positive decimal number"),
        ({"rates": {"USD": "one"}}, "positive decimal number"),
        ({"rates": {"EUR": "1.1"}}, "EUR is the base, so its rate is 1"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(AssayError, match=complaint):
        Rates.from_json(TABLE | change)


@pytest.mark.parametrize("member", sorted(TABLE))
def test_a_table_without_a_member_says_which(member: str) -> None:
    with pytest.raises(AssayError, match=member):
        Rates.from_json({name: value for name, value in TABLE.items() if name != member})
