"""Calibrated scores mean what they say, keep the order and are the same bits in any batch."""

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from models.calibration import Calibration, fit_beta, fit_platt

FITS = [fit_platt, fit_beta]


def sigmoid(log_odds):
    return 1.0 / (1.0 + np.exp(-log_odds))


def sample(n=40_000, slope=0.5, shift=-1.0, seed=5):
    """Raw log-odds of an overconfident model, and labels drawn from what they really mean."""
    random = np.random.default_rng(seed)
    raw = random.normal(-3.0, 2.5, n)
    return raw, (random.random(n) < sigmoid(slope * raw + shift)).astype(np.uint8)


def calibration_error(score, labels, bins=10):
    """Mean distance between the score and the share of fraud, over bins of equal size."""
    order = np.argsort(score, kind="stable")
    parts = np.array_split(order, bins)
    return sum(len(part) * abs(score[part].mean() - labels[part].mean()) for part in parts) / len(score)


@pytest.mark.parametrize("fit", FITS)
def test_scores_mean_what_they_say_on_events_that_the_fit_never_saw(fit):
    calibration = fit(*sample())
    raw, labels = sample(seed=6)
    before = calibration_error(sigmoid(raw), labels)
    after = calibration_error(calibration.apply(raw), labels)
    assert after < 0.005
    assert after < before / 10
    assert calibration.apply(raw).mean() == pytest.approx(labels.mean(), rel=0.03)


def test_beta_follows_what_one_slope_cannot():
    """Low scores too low, high scores too high: the two ends need slopes of their own."""
    random = np.random.default_rng(11)
    raw = random.normal(0.0, 3.0, 60_000)
    truth = sigmoid(np.where(raw < 0, 0.2 * raw, 1.5 * raw) - 0.5)
    labels = (random.random(len(raw)) < truth).astype(np.uint8)
    platt, beta = (np.abs(fit(raw, labels).apply(raw) - truth).mean() for fit in FITS)
    assert beta < 0.5 * platt


@pytest.mark.parametrize("fit", FITS)
def test_the_order_of_scores_is_kept(fit):
    calibration = fit(*sample())
    raw = np.sort(np.random.default_rng(1).normal(0, 12, 5_000))
    score = calibration.apply(raw).round(6)
    assert (np.diff(score) >= 0).all()
    assert len(np.unique(score)) > 1_000


def test_platt_agrees_with_an_unpenalised_logistic_regression():
    raw, labels = sample()
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(raw[:, None], labels)
    calibration = fit_platt(raw, labels)
    assert calibration.low_slope == pytest.approx(reference.coef_[0, 0], rel=2e-3)
    assert calibration.intercept == pytest.approx(reference.intercept_[0], rel=2e-3)


@settings(deadline=None)
@given(st.floats(-200, 200))
def test_the_identity_is_the_logistic_function(raw):
    score = Calibration(kind="none").apply(np.array([raw]))[0]
    expected = sigmoid(np.clip(raw, -40, 40))
    assert score == pytest.approx(min(max(expected, 1e-6), 1 - 1e-6), rel=1e-12)


@settings(deadline=None)
@given(
    st.floats(-30, 30),
    st.floats(0, 3),
    st.floats(0, 3),
    st.floats(-5, 5),
    st.floats(0.001, 1),
)
def test_the_formula_holds(raw, low_slope, high_slope, intercept, kept):
    calibration = Calibration(
        kind="beta", low_slope=low_slope, high_slope=high_slope, intercept=intercept, kept_negative_share=kept
    )
    log_s, log_not_s = -np.logaddexp(0, -raw), -np.logaddexp(0, raw)
    sampled = sigmoid(np.clip(low_slope * log_s - high_slope * log_not_s + intercept, -40, 40))
    expected = kept * sampled / (kept * sampled + (1 - sampled))
    assert calibration.apply(np.array([raw]))[0] == pytest.approx(min(max(expected, 1e-6), 1 - 1e-6), rel=1e-9)


def test_downsampled_legitimate_events_are_corrected_for():
    raw, labels = sample(n=200_000, slope=1.0, shift=0.0)
    kept = (labels == 1) | (np.random.default_rng(2).random(len(labels)) < 0.1)
    calibration = fit_platt(raw[kept], labels[kept], kept_negative_share=0.1)
    score = calibration.apply(raw)
    assert score.mean() == pytest.approx(labels.mean(), rel=0.03)
    without = msgspec.structs.replace(calibration, kept_negative_share=1.0).apply(raw)
    assert without.mean() > 2 * labels.mean()


@pytest.mark.parametrize("fit", FITS)
def test_scores_stay_inside_0_and_1_to_six_digits(fit):
    score = fit(*sample()).apply(np.array([-1e300, -np.inf, np.inf, 1e300, -700.0, 700.0])).round(6)
    assert score.min() == 1e-6
    assert score.max() == 0.999999


@pytest.mark.parametrize("fit", FITS)
def test_each_row_depends_on_itself_alone(fit):
    calibration = fit(*sample())
    raw = np.random.default_rng(3).normal(0, 6, 1_003)
    whole = calibration.apply(raw)
    one_by_one = np.concatenate([calibration.apply(raw[n : n + 1]) for n in range(len(raw))])
    assert one_by_one.tobytes() == whole.tobytes()


@pytest.mark.parametrize("fit", FITS)
def test_the_same_data_give_the_same_numbers(fit):
    raw, labels = sample(n=3_000)
    assert fit(raw, labels) == fit(raw.copy(), labels.copy())


@pytest.mark.parametrize("fit", FITS)
def test_few_or_separable_or_constant_scores_have_an_answer(fit):
    labels = np.array([1] * 3 + [0] * 97, dtype=np.uint8)
    separable = fit(np.where(labels == 1, 8.0, -8.0), labels).apply(np.array([8.0, -8.0]))
    assert separable[0] > 0.5 > 0.1 > separable[1]
    constant = fit(np.zeros(100), labels).apply(np.zeros(1))[0]
    assert constant == pytest.approx(0.04, abs=0.015)


@pytest.mark.parametrize("fit", FITS)
def test_one_class_alone_cannot_be_calibrated(fit):
    with pytest.raises(ValueError, match="expected frauds and legitimate events, got 0 and 5"):
        fit(np.zeros(5), np.zeros(5, dtype=np.uint8))


@pytest.mark.parametrize("fit", FITS)
def test_a_model_that_ranks_backwards_is_refused(fit):
    raw, labels = sample()
    with pytest.raises(ValueError, match="expected frauds to score higher"):
        fit(-raw, labels)


@pytest.mark.parametrize(("turned", "level_end"), [(False, "high_slope"), (True, "low_slope")])
def test_a_slope_that_comes_out_negative_becomes_0(turned, level_end):
    """One end whose scores mean the opposite: the map stays level there instead of turning back."""
    random = np.random.default_rng(4)
    raw = random.normal(0.0, 3.0, 40_000)
    truth = sigmoid(np.where(raw < 0, 1.0 * raw, -0.3 * raw) - 1.0)
    if turned:
        raw, truth = -raw, 1.0 - truth
    labels = (random.random(len(raw)) < truth).astype(np.uint8)
    calibration = fit_beta(raw, labels)
    slopes = {"low_slope": calibration.low_slope, "high_slope": calibration.high_slope}
    assert slopes.pop(level_end) == 0.0
    assert min(slopes.values()) > 0.0
    assert (np.diff(calibration.apply(np.linspace(-20, 20, 500))) >= -1e-12).all()


@settings(deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.1, 1.0, 10.0, 100.0]),
    st.sampled_from([0.01, 0.2, 0.9]),
    st.sampled_from([-10.0, 0.0, 20.0]),
)
def test_a_fit_balances_the_books(seed, scale, share, shift):
    """At the optimum the mean probability is the mean target, however far from the identity it lies."""
    random = np.random.default_rng(seed)
    labels = (random.random(300) < share).astype(np.uint8)
    labels[:2] = 0, 1
    raw = scale * (random.normal(0, 1, 300) + labels) + shift
    try:
        calibration = fit_platt(raw, labels)
    except ValueError:
        assume(False)
    frauds = labels.sum()
    target = np.where(labels == 1, (frauds + 1) / (frauds + 2), 1 / (300 - frauds + 2)).mean()
    log_odds = calibration.low_slope * np.clip(raw, -40, 40) + calibration.intercept
    assert sigmoid(log_odds).mean() == pytest.approx(target, abs=1e-6)


def test_a_calibration_survives_its_json():
    calibration = fit_beta(*sample())
    assert msgspec.json.decode(msgspec.json.encode(calibration), type=Calibration) == calibration
    for damaged in (
        b'{"kind":"beta","low_slope":-1.0}',
        b'{"kind":"other"}',
        b'{"kind":"none","kept_negative_share":0}',
    ):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(damaged, type=Calibration)
