"""Amounts of whole columns against the conversion of one amount."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.conversion import currency_name, to_base_minor, without_rate
from features.money import CURRENCY_CODES, EXPONENTS, MAX_AMOUNT_MINOR, Rates

DEFAULT = Rates.default()
# A rate that no fraction of 64 bits holds, one that saturates, and one whose halves are ties.
ODD = Rates(
    base="JPY",
    as_of="2026-01-02",
    source="test",
    rates={"EUR": "0.0061234567890123456789", "KWD": "0.000000001", "USD": "2", "TND": "400"},
)


@given(st.sampled_from([DEFAULT, ODD]), st.data())
def test_every_amount_is_what_the_exact_conversion_gives(rates: Rates, data: st.DataObject) -> None:
    amounts = st.integers(0, MAX_AMOUNT_MINOR) | st.integers(0, 2_000)
    those = data.draw(st.lists(st.tuples(amounts, st.sampled_from(sorted(rates.rates)))))
    currency = np.array([CURRENCY_CODES[code] for _, code in those], dtype=np.uint8)
    found = to_base_minor(np.array([amount for amount, _ in those], dtype=np.int64), currency, rates)
    assert found.tolist() == [rates.to_base_minor(amount, code) for amount, code in those]


def test_the_odd_rates_take_the_long_way() -> None:
    assert ODD.fractions.most[CURRENCY_CODES["EUR"]] < 2_000
    assert DEFAULT.fractions.most[CURRENCY_CODES["EUR"]] >= MAX_AMOUNT_MINOR


def test_no_currency_is_no_amount() -> None:
    assert to_base_minor(np.array([0]), np.zeros(1, dtype=np.uint8), ODD).tolist() == [0]


def test_rows_without_a_rate_are_found() -> None:
    currency = np.array([0, CURRENCY_CODES["EUR"], CURRENCY_CODES["CHF"], CURRENCY_CODES["JPY"]], dtype=np.uint8)
    assert without_rate(currency, ODD).tolist() == [2]


def test_every_code_names_its_currency() -> None:
    assert {currency_name(code) for code in CURRENCY_CODES.values()} == set(EXPONENTS)
