"""Reasons of many events at once are those of the definition, byte for byte."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.catalogue import FEATURES
from features.records import Reason
from models.decision import OUTCOMES
from models.policy import Policy
from models.reason_texts import FeatureReasons, six_digits
from models.reasons import Explained, Explainer, leading_tails
from models.wording import Money
from tests.models.naive_reasons import reasons_for

COLUMNS = len(FEATURES)
INPUTS = np.array([3, 17, 40, 41, 90], dtype=np.int64)
CURRENCIES = (Money("EUR", 2), Money("JPY", 0), Money("KWD", 3))
SMALL_RANGE = {"hour": 24, "weekday": 7, "code": 9, "flag": 2}
encode = msgspec.json.encode


def random_events(seed: int, rows: int, tails: bool) -> Explained:
    """Contributions with ties and NaN, of all sizes; values of every kind that a unit has, some not known."""
    generator = np.random.default_rng(seed)
    shape = (rows, COLUMNS)
    contributions = generator.normal(size=shape) * 10.0 ** generator.integers(-4, 2, size=(rows, 1))
    tied = generator.random(shape) < 0.3
    contributions[tied] = np.round(contributions[tied], 1)
    contributions[generator.random(shape) < generator.choice([0.0, 0.5, 0.97], size=(rows, 1))] = 0.0
    contributions[generator.random(shape) < 0.05] = math.nan
    values = generator.normal(size=shape) * 10.0 ** generator.integers(-3, 8, size=shape)
    values = np.where(generator.random(shape) < 0.5, np.round(values), values)
    for column, feature in enumerate(FEATURES.features):
        if feature.unit in SMALL_RANGE:
            values[:, column] = generator.integers(0, SMALL_RANGE[feature.unit], size=rows)
    values[generator.random(shape) < 0.1] = math.nan
    fewer = ~np.isin([feature.unit for feature in FEATURES.features], list(SMALL_RANGE))
    values[(generator.random(shape) < 0.1) & fewer] = 1.0
    values[(generator.random(shape) < 0.05) & fewer] = -0.0
    anomaly = np.round(generator.random(rows), 6)
    anomaly[generator.random(rows) < 0.2] = math.nan
    return Explained(
        values=values.astype(np.float32),
        contributions=contributions,
        outcome=generator.integers(1, len(OUTCOMES), size=rows).astype(np.uint8),
        score=np.round(generator.random(rows), 6),
        anomaly=anomaly,
        tails=generator.normal(size=(rows, len(INPUTS))) * 6.0 if tails else None,
        detector_columns=INPUTS,
    )


def random_baselines(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    baselines = np.abs(generator.normal(size=COLUMNS) * 10.0 ** generator.integers(-2, 6, size=COLUMNS))
    for column, feature in enumerate(FEATURES.features):
        if feature.unit in SMALL_RANGE:
            baselines[column] = generator.integers(0, SMALL_RANGE[feature.unit])
    baselines[generator.random(COLUMNS) < 0.3] = math.nan
    return baselines


def naive(baselines, events: Explained, policy: Policy, money: Money) -> list[list[Reason]]:
    return [
        reasons_for(
            FEATURES,
            baselines,
            events.values[row],
            events.contributions[row],
            outcome=int(events.outcome[row]),
            score=float(events.score[row]),
            anomaly=float(events.anomaly[row]),
            policy=policy,
            money=money,
            tails=leading_tails(events.tails, row, INPUTS),
        )
        for row in range(len(events.score))
    ]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32), st.integers(0, 12), st.booleans(), st.sampled_from(CURRENCIES), st.sampled_from([None, 0.3])
)
def test_many_at_once_are_those_of_the_definition(seed, rows, tails, money, threshold):
    events, baselines = random_events(seed, rows, tails), random_baselines(seed)
    policy = msgspec.structs.replace(Policy.default(), anomaly_step_up_at=threshold)
    found = Explainer(FEATURES, baselines, money).reasons(events, policy)
    assert encode(found) == encode(naive(baselines, events, policy, money))


def test_the_random_events_have_every_kind_of_reason_and_the_comparison_has_two_sides():
    events, baselines = random_events(7, 400, tails=True), random_baselines(7)
    policy = msgspec.structs.replace(Policy.default(), anomaly_step_up_at=0.3)
    expected = naive(baselines, events, policy, CURRENCIES[0])
    codes = {reason.code for given in expected for reason in given}
    assert {"ANO01", "ANO02", "GEN01", "CTX01"} < codes
    assert {len(given) for given in expected} == {1, 2, 3, 4}
    explainer = Explainer(FEATURES, baselines, CURRENCIES[0])
    assert explainer.reasons(events, policy) == expected
    moved = events._replace(contributions=np.roll(events.contributions, 1, axis=1))
    assert explainer.reasons(moved, policy) != expected
    late = events._replace(values=np.roll(events.values, 1, axis=0))
    assert explainer.reasons(late, policy) != expected


@pytest.mark.parametrize("column", range(COLUMNS), ids=FEATURES.names)
def test_every_feature_is_told_as_the_definition_tells_it(column):
    contributions = np.zeros(COLUMNS)
    contributions[column] = 1.0
    money = CURRENCIES[0]
    for seed in range(3):
        baselines = random_baselines(seed)
        told = FeatureReasons(FEATURES, baselines, money)
        events = random_events(seed, 8, tails=False)
        events.values[:3, column] = [0.0, 1.0, math.nan]
        everywhere = events._replace(contributions=np.tile(contributions, (8, 1)))
        for row, expected in enumerate(naive(baselines, everywhere, Policy.default(), money)):
            assert [told.reason(events.values[row], column, 1.0)] == expected


HALVES = st.builds(
    lambda whole, exponent: (whole + 0.5) * 10.0**exponent, st.integers(99_999, 1_000_000), st.integers(-9, 3)
)


@settings(max_examples=2_000)
@given(st.one_of(st.floats(allow_nan=False), st.floats(0.0005, 2e6), HALVES, st.integers(-(10**7), 10**7).map(float)))
@example(0.0)
@example(-0.0)
@example(9.999995)
@example(999_999.5)
@example(0.001)
@example(math.inf)
def test_six_digits_are_those_of_the_decimal_number(value):
    for number in (value, -value, math.nextafter(value, math.inf), math.nextafter(value, -math.inf)):
        assert six_digits(number).hex() == float(f"{number:.6g}").hex()
