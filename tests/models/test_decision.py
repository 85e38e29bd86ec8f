"""Decisions against exact arithmetic, and the promises of the module's docstring."""

from fractions import Fraction

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from features.columns import APPLICATION, LABEL, LOGIN, PAYMENT, PROFILE_CHANGE
from models.decision import OUTCOMES, decide, explain_costs
from models.policy import Costs, Policy, Treatment

NAN = float("nan")
KINDS = {PAYMENT: "payment", LOGIN: "login", APPLICATION: "application"}

shares = st.integers(0, 1000).map(lambda n: n / 1000)
minors = st.integers(0, 100_000)
probabilities = st.integers(1, 999_999).map(lambda n: n / 1_000_000)
amounts = st.one_of(st.just(0), st.integers(1, 10**6), st.integers(1, 10**15))


@st.composite
def costs(draw, margin=shares):
    """Any costs with treatments in order of strength; a treatment may be missing."""
    abandon = sorted((draw(shares), draw(shares)))
    passes = sorted((draw(shares), draw(shares)), reverse=True)
    treatments = [
        draw(
            st.none()
            | minors.map(
                lambda cost, n=n: Treatment(cost_minor=cost, abandon_share=abandon[n], fraud_pass_share=passes[n])
            )
        )
        for n in range(2)
    ]
    return Costs(
        loss_given_fraud=draw(shares),
        chargeback_fee_minor=draw(minors),
        margin=draw(margin),
        insult_minor=draw(minors),
        exposure_minor=draw(minors),
        exposure_from_amount=draw(st.booleans()),
        step_up=treatments[0],
        review=treatments[1],
    )


@st.composite
def policies(draw, margin=shares):
    return Policy(
        payment=draw(costs(margin)),
        login=draw(costs(margin)),
        application=draw(costs(margin)),
        anomaly_step_up_at=draw(st.none() | shares),
    )


def exact(number):
    return Fraction(number)  # the exact value of the float


def exact_costs(policy, score, amount_minor, kind):
    """The four expected costs in exact arithmetic, None where an outcome is not on offer."""
    part = getattr(policy, KINDS[kind])
    exposure = amount_minor if part.exposure_from_amount and amount_minor > 0 else part.exposure_minor
    loss = exact(part.loss_given_fraud) * exposure + part.chargeback_fee_minor
    insult = part.insult_minor + exact(part.margin) * exposure
    p = exact(score)
    found = [p * loss]
    for treatment in (part.step_up, part.review):
        if treatment is None:
            found.append(None)
        else:
            lost = (1 - p) * exact(treatment.abandon_share) * insult
            passed = p * exact(treatment.fraud_pass_share) * loss
            found.append(treatment.cost_minor + lost + passed)
    found.append((1 - p) * insult)
    return found, p * loss


def one(policy, score, anomaly, amount_minor, kind):
    found = decide(
        policy, np.array([score]), np.array([anomaly]), np.array([amount_minor]), np.array([kind], dtype=np.uint8)
    )
    return int(found.outcome[0]), int(found.expected_loss_minor[0])


@settings(deadline=None)
@given(policies(), probabilities, st.sampled_from(list(KINDS)), amounts)
def test_the_cheapest_outcome_in_exact_arithmetic_is_chosen(policy, score, kind, amount_minor):
    policy = msgspec.structs.replace(policy, anomaly_step_up_at=None)
    found, loss = exact_costs(policy, score, amount_minor, kind)
    outcome, expected_loss_minor = one(policy, score, 1.0, amount_minor, kind)
    offered = [cost for cost in found if cost is not None]
    rounding = max(offered) * Fraction(1, 10**14)
    assert found[outcome] is not None
    assert found[outcome] - min(offered) <= rounding  # nothing cheaper, up to the last bits of a float
    assert all(cost is None or cost > found[outcome] - rounding for cost in found[:outcome])
    assert abs(expected_loss_minor - loss) <= Fraction(1, 2) + rounding
    told = explain_costs(policy, score, amount_minor, kind)
    assert list(told) == list(OUTCOMES)
    for name, cost in zip(OUTCOMES, found, strict=True):
        assert (told[name] is None) == (cost is None)
        assert cost is None or abs(exact(told[name]) - cost) <= rounding


@settings(deadline=None)
@given(policies(), probabilities, probabilities, st.sampled_from(list(KINDS)), amounts, shares)
def test_a_higher_probability_never_gives_a_milder_outcome(policy, one_score, other_score, kind, amount_minor, anomaly):
    low, high = sorted((one_score, other_score))
    milder, stronger = (one(policy, score, anomaly, amount_minor, kind) for score in (low, high))
    if stronger[0] < milder[0]:  # only a tie that rounding broke
        for score in (low, high):
            found, _ = exact_costs(policy, score, amount_minor, kind)
            assert abs(found[stronger[0]] - found[milder[0]]) <= max(c for c in found if c is not None) * Fraction(
                1, 10**14
            )
    assert stronger[1] >= milder[1]


def amount_matters_from(part):
    """Odds of fraud from which a larger amount never gives a milder outcome; see the docstring of models.decision."""
    treatments = [
        (0, 1),
        *((exact(t.abandon_share), exact(t.fraud_pass_share)) for t in (part.step_up, part.review) if t),
        (1, 0),
    ]
    needed = Fraction(0)
    for i, (abandon_i, pass_i) in enumerate(treatments):
        for abandon_j, pass_j in treatments[i + 1 :]:
            price = exact(part.margin) * (abandon_j - abandon_i)
            saved = exact(part.loss_given_fraud) * (pass_i - pass_j)
            if price > 0:
                if saved == 0:
                    return None
                needed = max(needed, price / saved)
    return needed


def check_amounts(policy, score, kind, smaller, larger):
    mild, strong = (one(policy, score, NAN, amount_minor, kind)[0] for amount_minor in (smaller, larger))
    if strong < mild:  # only a tie that rounding broke
        for amount_minor in (smaller, larger):
            found, _ = exact_costs(policy, score, amount_minor, kind)
            assert abs(found[strong] - found[mild]) <= max(c for c in found if c is not None) * Fraction(1, 10**14)


@settings(deadline=None)
@given(
    policies(margin=st.just(0.0)),
    probabilities,
    st.sampled_from(list(KINDS)),
    st.integers(1, 10**9),
    st.integers(1, 10**9),
)
def test_without_margin_a_larger_amount_never_gives_a_milder_outcome(policy, score, kind, one_amount, other_amount):
    check_amounts(policy, score, kind, *sorted((one_amount, other_amount)))


@settings(deadline=None)
@given(policies(), probabilities, st.sampled_from(list(KINDS)), st.integers(1, 10**9), st.integers(1, 10**9))
def test_with_margin_a_larger_amount_never_gives_a_milder_outcome_above_the_stated_odds(
    policy, score, kind, one_amount, other_amount
):
    needed = amount_matters_from(getattr(policy, KINDS[kind]))
    assume(needed is not None and exact(score) / (1 - exact(score)) >= needed)
    check_amounts(policy, score, kind, *sorted((one_amount, other_amount)))


def test_below_the_stated_odds_a_larger_amount_is_treated_more_mildly():
    """The regime is real: a merchant that earns 30 per cent does not fear 20 per cent of fraud."""
    part = Costs(
        loss_given_fraud=0.9,
        chargeback_fee_minor=3_000,
        margin=0.3,
        insult_minor=100,
        exposure_minor=0,
        exposure_from_amount=True,
        step_up=None,
        review=None,
    )
    policy = Policy(payment=part, login=part, application=part)
    assert amount_matters_from(part) > 0.2 / 0.8
    assert [OUTCOMES[one(policy, 0.2, NAN, amount_minor, PAYMENT)[0]] for amount_minor in (100, 100_000)] == [
        "decline",
        "approve",
    ]


def exact_policy(step_up=None, review=None, insult_minor=1_000, anomaly_step_up_at=None):
    """Loss 1,000 and insult `insult_minor`, so that costs at p = 1/2 are whole numbers and ties are exact."""
    part = Costs(
        loss_given_fraud=1.0,
        chargeback_fee_minor=0,
        margin=0.0,
        insult_minor=insult_minor,
        exposure_minor=1_000,
        exposure_from_amount=False,
        step_up=step_up,
        review=review,
    )
    return Policy(payment=part, login=part, application=part, anomaly_step_up_at=anomaly_step_up_at)


def free(cost_minor):
    return Treatment(cost_minor=cost_minor, abandon_share=0.0, fraud_pass_share=0.0)


@pytest.mark.parametrize(
    ("policy", "outcome"),
    [
        (exact_policy(), "approve"),  # 500 against 500
        (exact_policy(step_up=free(500), review=free(500)), "approve"),  # 500, four times
        (exact_policy(step_up=free(499), review=free(499)), "step_up"),
        (exact_policy(step_up=free(501), review=free(499)), "review"),
        (exact_policy(review=free(499), insult_minor=998), "review"),
        (exact_policy(review=free(499), insult_minor=997), "decline"),
    ],
)
def test_a_tie_goes_to_the_milder_outcome(policy, outcome):
    assert OUTCOMES[one(policy, 0.5, NAN, 0, PAYMENT)[0]] == outcome


@pytest.mark.parametrize(
    ("anomaly", "threshold", "score", "outcome"),
    [
        (0.9, 0.9, 0.001, "step_up"),
        (0.95, 0.9, 0.001, "step_up"),
        (0.89, 0.9, 0.001, "approve"),
        (NAN, 0.9, 0.001, "approve"),  # the detector is not yet warm
        (1.0, None, 0.001, "approve"),
        (1.0, 0.9, 0.999, "decline"),  # an anomaly never makes an outcome milder
    ],
)
def test_an_anomaly_turns_an_approval_into_a_step_up_and_nothing_else(anomaly, threshold, score, outcome):
    policy = msgspec.structs.replace(Policy.default(), anomaly_step_up_at=threshold)
    assert OUTCOMES[one(policy, score, anomaly, 1_000, PAYMENT)[0]] == outcome


def test_an_anomaly_does_nothing_where_step_up_is_not_on_offer():
    assert OUTCOMES[one(exact_policy(anomaly_step_up_at=0.5), 0.1, 0.9, 0, PAYMENT)[0]] == "approve"


@pytest.mark.parametrize(("score", "loss"), [(0.5, 2), (0.1, 0), (0.3, 2), (0.7, 4)])
def test_expected_loss_is_rounded_half_to_even(score, loss):
    part = msgspec.structs.replace(exact_policy().payment, exposure_minor=5)
    policy = Policy(payment=part, login=part, application=part)
    assert one(policy, score, NAN, 0, PAYMENT)[1] == loss  # 2.5, 0.5, 1.5, 3.5


def test_an_event_without_an_amount_has_the_fixed_exposure():
    policy = Policy.default()
    assert one(policy, 0.5, NAN, 0, APPLICATION)[1] == (0.8 * 100_000 + 5_000) / 2
    assert one(policy, 0.5, NAN, 10_000, APPLICATION)[1] == (0.8 * 10_000 + 5_000) / 2
    assert one(policy, 0.5, NAN, 10_000, LOGIN)[1] == (0.5 * 20_000 + 1_500) / 2


@pytest.mark.parametrize(
    ("kind", "score"),
    [(PROFILE_CHANGE, 0.5), (LABEL, 0.5), (0, 0.5), (200, 0.5), (PAYMENT, NAN), (PAYMENT, 1.1), (PAYMENT, -0.1)],
)
def test_what_cannot_be_judged_is_our_own_mistake(kind, score):
    with pytest.raises(AssertionError, match="expected a judged kind and a score"):
        one(Policy.default(), score, NAN, 100, kind)


def test_each_row_depends_on_itself_alone():
    random = np.random.default_rng(7)
    n = 500
    policy = msgspec.structs.replace(Policy.default(), anomaly_step_up_at=0.9)
    columns = (
        random.random(n).round(6),
        np.where(random.random(n) < 0.2, np.nan, random.random(n)),
        random.integers(0, 200_000, n),
        random.choice(np.array([PAYMENT, LOGIN, APPLICATION], dtype=np.uint8), n),
    )
    whole = decide(policy, *columns)
    assert set(whole.outcome) == {0, 1, 2, 3}
    for size in (1, 3, 64):
        parts = [decide(policy, *(column[at : at + size] for column in columns)) for at in range(0, n, size)]
        assert np.concatenate([part.outcome for part in parts]).tobytes() == whole.outcome.tobytes()
        joined = np.concatenate([part.expected_loss_minor for part in parts])
        assert joined.tobytes() == whole.expected_loss_minor.tobytes()
    shuffle = random.permutation(n)
    assert (
        decide(policy, *(column[shuffle] for column in columns)).outcome.tobytes() == whole.outcome[shuffle].tobytes()
    )


def test_no_events_no_decisions():
    found = decide(Policy.default(), np.empty(0), np.empty(0), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint8))
    assert found.outcome.shape == found.expected_loss_minor.shape == (0,)
