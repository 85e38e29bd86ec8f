"""Reasons: which are given, in which order, and in which words."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import FEATURES
from models.decision import OUTCOMES
from models.leading_codes import MOST_REASONS, SMALLEST_CONTRIBUTION
from models.policy import Policy
from models.reasons import MOST_TAILS, Explained, Explainer, Tail, leading_tails
from models.tail_kernels import IN_TAIL
from models.wording import Money

NAN = float("nan")
EURO = Money("EUR", 2)


def reasons(
    contributions, values=None, baselines=None, outcome="review", anomaly=NAN, threshold=None, money=EURO, tails=()
):
    """Reasons of an event with these contributions and values by feature name; all others are 0 and NaN."""

    def column(by_name, rest, dtype):
        array = np.full(len(FEATURES), rest, dtype=dtype)
        for name, number in (by_name or {}).items():
            array[FEATURES.index[name]] = number
        return array

    events = Explained(
        values=column(values, NAN, np.float32)[None],
        contributions=column(contributions, 0.0, np.float64)[None],
        outcome=np.array([OUTCOMES.index(outcome)], dtype=np.uint8),
        score=np.array([0.0123]),
        anomaly=np.array([anomaly]),
        tails=np.array([[depth for _, depth in tails]]) if tails else None,
        detector_columns=np.array([FEATURES.index[name] for name, _ in tails], dtype=np.int64),
    )
    explainer = Explainer(FEATURES, column(baselines, NAN, np.float64), money)
    (found,) = explainer.reasons(events, msgspec.structs.replace(Policy.default(), anomaly_step_up_at=threshold))
    return found


def text_of(name, value, baselines=None, money=EURO, **others):
    (reason,) = reasons({name: 1.0}, {name: value, **others}, baselines, money=money)
    return reason.text


def test_the_example_of_the_contract():
    (reason,) = reasons(
        {"account_payment_count_10m": 1.23},
        {"account_payment_count_10m": 7, "account_payment_count_90d": 0.4 * 90 * 24 * 6},
    )
    assert msgspec.to_builtins(reason) == {
        "code": "VEL01",
        "feature": "account_payment_count_10m",
        "value": 7.0,
        "baseline": 0.4,
        "contribution": 1.23,
        "text": "7 payments in 10 minutes, usually 0.4",
    }


@pytest.mark.parametrize(
    ("name", "value", "others", "text"),
    [
        ("account_payment_count_1h", 1, {}, "1 payment in an hour"),
        ("account_payment_count_90d", 12, {}, "12 payments in 90 days"),
        ("account_amount_minor_sum_1d", 123_456, {}, "1,234.56 EUR paid in a day"),
        ("account_amount_minor_max_1d", 5_000, {"account_amount_minor_max_90d": 4_000},
         "largest payment of 50.00 EUR in a day, 40.00 EUR in 90 days"),
        ("account_amount_minor", 90_000, {"account_amount_minor_mean_90d": 1_200},
         "amount 900.00 EUR, usually 12.00 EUR"),
        ("account_amount_to_mean_ratio_30d", 75, {}, "amount is 75 times the account's mean payment of 30 days"),
        ("account_amount_z_7d", 4.2, {}, "amount is 4.2 standard deviations from the account's mean of 7 days"),
        ("account_amount_z_lifetime", -2, {}, "amount is -2 standard deviations from the account's mean"),
        ("account_country_distinct_1d", 1, {}, "1 distinct country in a day"),
        ("account_ip_distinct_1d", 3, {"account_ip_distinct_30d": 4}, "3 distinct IP addresses in a day, 4 in 30 days"),
        ("account_device_is_new", 1, {}, "device never seen on this account"),
        ("account_seconds_since_last_payment", 45, {}, "45 seconds since the last payment"),
        ("account_declined_share_1d", 0.75, {}, "75% of payments declined in a day"),
        ("account_failed_login_count_1h", 6, {}, "6 failed logins in an hour"),
        ("account_speed_kmh_from_last", 9_800, {}, "9,800 km/h from the last position to this one"),
        ("account_distance_km_from_last", 12.34, {}, "12.3 km from the last position"),
        ("event_local_hour", 3, {}, "at 03:00 local time"),
        ("event_local_weekday", 6, {}, "on a Sunday local time"),
        ("event_method", 3, {}, "payment method p2p"),
        ("event_channel", 4, {}, "channel atm"),
        ("event_is_payment", 1, {}, "the event is a payment"),
        ("account_age_seconds", 864_000, {}, "account first seen 10 days before"),
        ("account_payment_count_lifetime", 1, {}, "1 payment in the account's whole past"),
    ],
)  # fmt: skip
def test_a_value_in_words(name, value, others, text):
    assert text_of(name, value, **others) == text


def test_money_has_the_digits_of_its_currency():
    assert text_of("account_amount_minor", 90_000, money=Money("JPY", 0)) == "amount 90,000 JPY"


def test_without_the_account_s_own_usual_value_the_median_of_others_is_told_as_such():
    text = text_of("account_payment_count_10m", 7, {"account_payment_count_10m": 2})
    assert text == "7 payments in 10 minutes, across accounts typically 2"
    (reason,) = reasons({"event_local_hour": 1.0}, {"event_local_hour": 3}, {"event_local_hour": 14})
    assert (reason.baseline, reason.text) == (14.0, "at 03:00 local time")


def test_what_is_not_known_is_null_and_told_with_its_cause():
    (reason,) = reasons({"account_seconds_since_last_login": 0.5})
    assert reason.value is None
    assert reason.baseline is None
    assert reason.text == "seconds since the account's most recent login, successful or not: not known (there was none)"


def test_features_of_one_code_are_one_reason_told_by_the_strongest():
    found = reasons(
        {
            "account_payment_count_10m": 0.3,
            "account_payment_count_1h": 0.6,
            "account_payment_count_1d": -5.0,  # what lowers the score is no reason and takes nothing away
            "account_device_is_new": 0.8,
        },
        {"account_payment_count_1h": 9, "account_device_is_new": 1},
    )
    assert [(reason.code, reason.feature, reason.contribution) for reason in found] == [
        ("VEL01", "account_payment_count_1h", 0.9),
        ("NEW02", "account_device_is_new", 0.8),
    ]


def test_ties_keep_the_order_of_the_features():
    names = ["account_device_is_new", "account_ip_is_new", "account_merchant_is_new"]
    for order in (names, names[::-1]):
        found = reasons(dict.fromkeys(order, 0.5))
        assert [reason.feature for reason in found] == sorted(names, key=FEATURES.index.__getitem__)
    tied = reasons({"account_payment_count_1h": 0.5, "account_payment_count_10m": 0.5})
    assert [reason.feature for reason in tied] == ["account_payment_count_10m"]


@settings(deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=len(FEATURES), max_size=len(FEATURES)))
def test_reasons_are_the_strongest_codes_in_falling_order(contributions):
    found = reasons(dict(zip(FEATURES.names, contributions, strict=True)), dict.fromkeys(FEATURES.names, 1.0))
    totals = {}
    for feature, contribution in zip(FEATURES.features, contributions, strict=True):
        if contribution > 0:
            totals[feature.reason_code] = totals.get(feature.reason_code, 0.0) + contribution
    context = totals.pop("CTX01", 0.0)
    expected = [total for total in totals.values() if total >= SMALLEST_CONTRIBUTION] or [context]
    expected = [total for total in sorted(expected, reverse=True)[:MOST_REASONS] if total >= SMALLEST_CONTRIBUTION]
    if not expected:
        assert [reason.code for reason in found] == ["GEN01"]
        return
    assert [reason.contribution for reason in found] == pytest.approx(expected, rel=1e-5)
    assert len({reason.code for reason in found}) == len(found)
    for reason in found:
        assert FEATURES.features[FEATURES.index[reason.feature]].reason_code == reason.code
        assert reason.text
        assert "{" not in reason.text


def test_the_kind_of_event_is_a_reason_only_where_there_is_no_other():
    context = {"event_is_payment": 2.0, "event_method": 1.0}
    values = {"event_is_payment": 1, "account_device_is_new": 1}
    assert [reason.code for reason in reasons({**context, "account_device_is_new": 0.1}, values)] == ["NEW02"]
    (alone,) = reasons({**context, "account_device_is_new": -1.0}, values)
    assert (alone.code, alone.contribution, alone.text) == ("CTX01", 3.0, "the event is a payment")
    unusual = reasons(context, values, outcome="step_up", anomaly=0.97, threshold=0.9)
    assert [reason.code for reason in unusual] == ["ANO01"]


def test_where_the_amount_at_stake_alone_decided_the_reason_is_general():
    for contributions in ({}, {"account_device_is_new": -2.0}, {"account_device_is_new": SMALLEST_CONTRIBUTION / 2}):
        (reason,) = reasons(contributions)
        assert (reason.code, reason.feature, reason.value, reason.contribution) == ("GEN01", "score", 0.0123, 0.0)
        assert reason.text == "no single feature raises the score of 0.0123: what is at stake decided"


def test_an_anomaly_that_asked_for_the_step_up_comes_first():
    many = {
        "account_device_is_new": 1.0,
        "account_ip_is_new": 0.9,
        "account_merchant_is_new": 0.8,
        "account_country_is_new": 0.7,
    }
    found = reasons(many, outcome="step_up", anomaly=0.97, threshold=0.9)
    assert [reason.code for reason in found] == ["ANO01", "NEW02", "NEW03", "NEW01"]
    assert (found[0].feature, found[0].value, found[0].baseline, found[0].contribution) == ("anomaly", 0.97, 0.9, 0.0)
    assert found[0].text == "unusual pattern: anomaly 0.97"


def test_the_inputs_that_are_far_out_say_what_was_unusual():
    found = reasons(
        {"account_device_is_new": 1.0, "account_ip_is_new": 0.9},
        {"account_amount_to_max_ratio_90d": 18.24, "account_amount_z_7d": -3, "account_device_is_new": 1},
        {"account_amount_to_max_ratio_90d": 0.5},
        outcome="step_up",
        anomaly=0.97,
        threshold=0.9,
        tails=[("account_amount_to_max_ratio_90d", math.log(5_000)), ("account_amount_z_7d", -math.log(300))],
    )
    assert [reason.code for reason in found] == ["ANO01", "ANO02", "ANO02", "NEW02"]
    assert [reason.contribution for reason in found] == [0.0, 0.0, 0.0, 1.0]
    assert (found[1].feature, found[1].value, found[1].baseline) == ("account_amount_to_max_ratio_90d", 18.24, 0.5)
    assert [reason.text for reason in found[1:3]] == [
        "amount is 18.2 times the account's largest payment of 90 days, as high in 0.02% of recent events",
        "amount is -3 standard deviations from the account's mean of 7 days, as low in 0.33% of recent events",
    ]


def test_a_share_that_is_tiny_is_told_as_such():
    tails = [("account_amount_z_7d", math.log(20_000))]
    (_, told) = reasons({}, {"account_amount_z_7d": 9}, outcome="step_up", anomaly=1.0, threshold=0.9, tails=tails)
    assert told.text.endswith("as high in less than 0.01% of recent events")


def test_the_model_does_not_tell_again_what_the_detector_told():
    contributions = {"account_amount_z_7d": 0.5, "account_amount_z_30d": 0.4, "account_device_is_new": 0.1}
    tails = [("account_amount_z_7d", 5.0)]
    found = reasons(contributions, outcome="step_up", anomaly=0.97, threshold=0.9, tails=tails)
    assert [(reason.code, reason.feature) for reason in found[1:]] == [
        ("ANO02", "account_amount_z_7d"),
        ("NEW02", "account_device_is_new"),
    ]


def test_inputs_that_are_far_out_are_no_reason_where_the_model_decided():
    contributions = {"account_amount_z_7d": 0.5, "account_device_is_new": 0.1}
    decided = {"outcome": "decline", "anomaly": 0.97, "threshold": 0.9}
    with_tails = reasons(contributions, tails=[("account_amount_z_7d", 5.0)], **decided)
    assert with_tails == reasons(contributions, **decided)


def test_the_farthest_inputs_lead_on_either_side():
    columns = np.array([7, 5, 3, 9])
    tails = np.array([[0.0, IN_TAIL, -2.0, 1.0], [3.0, -4.0, 3.0, 2.0], [-2.5, 0.0, 0.0, 0.0]])
    assert leading_tails(tails, 0, columns) == []
    assert leading_tails(tails, 1, columns) == [Tail(5, -4.0), Tail(7, 3.0)]
    assert leading_tails(tails, 2, columns) == [Tail(7, -2.5)]
    assert leading_tails(None, 0, columns) == []
    assert MOST_TAILS + 1 < MOST_REASONS


@pytest.mark.parametrize(
    ("outcome", "anomaly", "threshold"),
    [
        ("decline", 0.97, 0.9),
        ("approve", 0.97, 0.9),
        ("step_up", 0.89, 0.9),
        ("step_up", NAN, 0.9),
        ("step_up", 1.0, None),
    ],
)
def test_an_anomaly_that_asked_for_nothing_is_no_reason(outcome, anomaly, threshold):
    found = reasons({"account_device_is_new": 1.0}, outcome=outcome, anomaly=anomaly, threshold=threshold)
    assert [reason.code for reason in found] == ["NEW02"]


def test_numbers_have_six_significant_digits():
    (reason,) = reasons(
        {"account_amount_minor": math.pi}, {"account_amount_minor": 12_345.678}, {"account_amount_minor": 1 / 3}
    )
    assert (reason.value, reason.baseline, reason.contribution) == (12345.7, 0.333333, 3.14159)
