"""Labels: the same book in any order, the curve against the truth it was drawn from, measures against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson
from sklearn.metrics import precision_score, recall_score

from models.arrivals import ArrivalCurve, arrival_curve, day_of, feed_slower_than_curve, poisson_at_most
from models.cohorts import DayTotals, measure, miscalibrated, share_of
from models.label_book import DAY_MS, JudgedLabel, LabelBook
from models.watch_limits import CohortLimits

LIMITS = CohortLimits(horizon_days=30, least_labels=50)
TODAY = 100


def label(event: int, day: int, delay: int, fraud: bool = True, outcome: int = 0, label_id: str = "l") -> JudgedLabel:
    name = f"e{event}"
    return JudgedLabel(name, day * DAY_MS + event % 1_000, (day + delay) * DAY_MS + 5, label_id, fraud, outcome)


def drawn(seed: int, today: int = TODAY, per_day: int = 60, quick: float = 0.12) -> LabelBook:
    """Frauds of every day whose label takes a geometric number of days; only what came before `today` is known."""
    random, book = np.random.default_rng(seed), LabelBook()
    for day in range(today):
        for number, delay in enumerate((random.geometric(quick, per_day) - 1).tolist()):
            if day + delay < today:
                book.add(label(day * 1_000 + number, day, delay))
    return book


def truth(quick: float = 0.12, horizon: int = 30) -> np.ndarray:  # type: ignore[type-arg]
    share = 1.0 - (1.0 - quick) ** np.arange(1, horizon + 2)
    return share / share[-1]


def naive_curve(book: LabelBook) -> np.ndarray:  # type: ignore[type-arg]
    """What counting the known delays would give."""
    delays = [day_of(e.first_fraud_ms) - day_of(e.newest.time_ms) for e in book.entries() if e.first_fraud_ms]
    within = np.array([sum(delay <= d for delay in delays) for d in range(31)])
    return within / within[-1]


LABELS = st.lists(
    st.builds(
        label, st.integers(0, 4), st.just(3), st.integers(0, 6), st.booleans(), st.just(1), st.sampled_from("xyz")
    ),
    max_size=15,
)


@given(LABELS, st.randoms(use_true_random=False))
def test_a_book_is_the_same_in_any_order_and_with_any_repetition(labels: list[JudgedLabel], random: object) -> None:
    # Two records with one id and one time are one record.
    once = list({(one.event, one.known_at_ms, one.label_id): one for one in labels}.values())
    shuffled = [*once, *once[: len(once) // 2]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = LabelBook(), LabelBook()
    for each in once:
        one.add(each)
    for each in shuffled:
        other.add(each)
    assert one.entries() == other.entries()
    for entry in one.entries():
        mine = [each for each in once if each.event == entry.newest.event]
        assert entry.newest == max(mine, key=lambda each: (each.known_at_ms, each.label_id))
        assert entry.first_fraud_ms == min((each.known_at_ms for each in mine if each.is_fraud), default=None)


def test_a_book_forgets_old_events() -> None:
    book = drawn(1, today=20)
    book.forget(10 * DAY_MS)
    assert {day_of(entry.newest.time_ms) for entry in book.entries()} <= set(range(10, 20))
    assert book.entries()


def test_the_curve_is_that_of_the_truth_though_late_labels_are_not_in_yet() -> None:
    """And counting what is known is not: the comparison can fail."""
    book = drawn(2, today=45)
    curve = arrival_curve(book.entries(), 45, LIMITS)
    assert curve is not None
    assert np.abs(curve.share - truth()).max() < 0.03
    assert np.abs(naive_curve(book) - truth()).max() > 0.03
    assert (np.diff(curve.share) >= 0.0).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1_000))
def test_the_curve_is_the_chain_ladder(seed: int) -> None:
    """Development factors from column to column of the triangle, as insurers compute them."""
    book, today = drawn(seed, today=40, per_day=10), 40
    curve = arrival_curve(book.entries(), today, LIMITS)
    assert curve is not None
    known = [
        (today - 1 - day_of(e.newest.time_ms), day_of(e.first_fraud_ms) - day_of(e.newest.time_ms))
        for e in book.entries()
        if e.first_fraud_ms is not None
    ]
    known = [(age, delay) for age, delay in known if delay <= 30]
    share = [1.0]
    for delay in range(30, 0, -1):
        up_to = sum(1 for age, d in known if age >= delay and d <= delay)
        before = sum(1 for age, d in known if age >= delay and d <= delay - 1)
        share.insert(0, share[0] * before / up_to)
    np.testing.assert_allclose(curve.share, share, rtol=1e-12)


def test_there_is_no_curve_before_a_whole_horizon_or_with_few_labels() -> None:
    assert arrival_curve(drawn(3, today=30).entries(), 30, LIMITS) is None
    assert arrival_curve(drawn(3, today=31).entries(), 31, LIMITS) is not None
    assert arrival_curve(drawn(3, today=60, per_day=1).entries()[:40], 60, LIMITS) is None


def test_a_day_matures_when_95_per_cent_of_its_labels_are_in() -> None:
    curve = ArrivalCurve(truth(), 1_000)
    days = curve.mature_after_days(0.95)
    assert curve.by_age(days) >= 0.95 > curve.by_age(days - 1)
    assert (curve.by_age(-1), curve.by_age(1_000)) == (0.0, 1.0)


def curve_and_traffic(seed: int) -> tuple[LabelBook, ArrivalCurve, dict[int, int]]:
    book = drawn(seed)
    curve = arrival_curve(book.entries(), TODAY, LIMITS)
    assert curve is not None
    return book, curve, dict.fromkeys(range(TODAY), 20_000)


def test_a_feed_of_labels_that_died_is_told_and_a_healthy_one_is_not() -> None:
    for seed in range(3):
        book, curve, verdicts = curve_and_traffic(seed)
        assert feed_slower_than_curve(curve, book.entries(), verdicts, TODAY, LIMITS) == []
        dead = [entry for entry in book.entries() if day_of(entry.first_fraud_ms or 0) < TODAY - 3]
        (finding,) = feed_slower_than_curve(curve, dead, verdicts, TODAY, LIMITS)
        assert (finding.name, finding.value) == ("labels", 0.0)
        assert finding.expected == pytest.approx(180, rel=0.1)  # 60 frauds a day for 3 days


def test_half_the_traffic_lets_fewer_labels_be_expected() -> None:
    """No alarm where the labels are few because the events were."""
    book, curve, verdicts = curve_and_traffic(1)
    fewer = {day: count if day < 70 else 0 for day, count in verdicts.items()}
    entries = [entry for entry in book.entries() if day_of(entry.newest.time_ms) < 70]
    assert feed_slower_than_curve(curve, entries, fewer, TODAY, LIMITS) == []
    assert feed_slower_than_curve(curve, entries, verdicts, TODAY, LIMITS) != []


@given(st.integers(0, 300), st.floats(0.01, 400.0))
def test_the_chance_is_that_of_scipy(count: int, expected: float) -> None:
    assert poisson_at_most(count, expected) == pytest.approx(poisson.cdf(count, expected), rel=1e-9, abs=1e-300)


def cohort_data(seed: int, bias: float = 1.0) -> tuple[LabelBook, dict[int, DayTotals], np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Days 40 to 99 of 2,000 scored events each; all labels are in after at most 10 days."""
    random, book, totals = np.random.default_rng(seed), LabelBook(), {}
    frauds, outcomes = [], []
    for day in range(40, TODAY):
        score = np.clip(random.lognormal(-4.0, 1.2, 2_000), 1e-6, 1.0 - 1e-6).round(6)
        outcome = np.digitize(score, [0.1, 0.3, 0.6])
        fraud = random.random(2_000) < np.minimum(score * bias, 1.0)
        for number in np.flatnonzero(fraud).tolist():
            delay = int(random.integers(0, 11))
            if day + delay < TODAY:
                book.add(label(day * 10_000 + number, day, delay, outcome=int(outcome[number])))
        counts = np.bincount(outcome, minlength=4).tolist()
        totals[day] = DayTotals((counts[0], counts[1], counts[2], counts[3]), int(np.rint(score * 1e6).sum()))
        if day < TODAY - 11:
            frauds.append(fraud)
            outcomes.append(outcome)
    return book, totals, np.concatenate(frauds), np.concatenate(outcomes)


FLAT = ArrivalCurve(np.minimum(np.arange(1, 32) / 11.0, 1.0), 1_000)


def test_measures_of_mature_days_are_those_of_scikit_learn() -> None:
    book, totals, fraud, outcome = cohort_data(1)
    days = [day for day in totals if day < TODAY - 11]
    found = measure(book.entries(), totals, FLAT, days, TODAY, LIMITS)
    assert (found.days, found.waiting_days, found.verdicts, found.frauds) == (len(days), 0, len(fraud), fraud.sum())
    assert found.precision is not None
    assert found.recall is not None
    assert found.precision.share == pytest.approx(precision_score(fraud, outcome > 0))
    assert found.recall.share == pytest.approx(recall_score(fraud, outcome > 0))
    assert found.precision.low < found.precision.share < found.precision.high
    declined = found.by_outcome["decline"]
    assert declined is not None
    assert declined.share == pytest.approx(fraud[outcome == 3].mean())
    assert found.calibration is not None
    assert found.calibration.low < 1.0 < found.calibration.high
    assert miscalibrated(found, LIMITS) == []


def test_days_whose_labels_are_not_in_are_left_out_because_they_would_lie() -> None:
    book, totals, _, _ = cohort_data(2)
    found = measure(book.entries(), totals, FLAT, list(totals), TODAY, LIMITS)
    assert (found.days, found.waiting_days) == (50, 10)
    young = measure(book.entries(), totals, FLAT, range(95, 100), TODAY, LIMITS)
    assert (young.days, young.waiting_days, young.verdicts, young.precision, young.calibration) == (0, 5, 0, None, None)
    believed = measure(book.entries(), totals, ArrivalCurve(np.ones(31), 1), range(95, 100), TODAY, LIMITS)
    assert believed.calibration is not None
    assert believed.calibration.high < 0.8


def test_without_a_curve_nothing_is_measurable_yet() -> None:
    book, totals, _, _ = cohort_data(3)
    found = measure(book.entries(), totals, None, list(totals), TODAY, LIMITS)
    assert (found.days, found.recall, found.by_outcome["review"]) == (0, None, None)


@pytest.mark.parametrize("bias", [0.6, 1.5])
def test_scores_that_mean_something_else_than_they_say_are_told(bias: float) -> None:
    book, totals, _, _ = cohort_data(4, bias)
    found = measure(book.entries(), totals, FLAT, list(totals), TODAY, LIMITS)
    (finding,) = miscalibrated(found, LIMITS)
    assert finding.name == "calibration"
    assert (finding.value > 1.0) == (bias > 1.0)


def test_a_reversed_label_is_fraud_no_more() -> None:
    book, totals, _, _ = cohort_data(5)
    before = measure(book.entries(), totals, FLAT, list(totals), TODAY, LIMITS).frauds
    first = book.entries()[0].newest
    book.add(first._replace(known_at_ms=first.known_at_ms + 1, is_fraud=False, label_id="reversal"))
    assert measure(book.entries(), totals, FLAT, list(totals), TODAY, LIMITS).frauds == before - 1


@given(st.integers(0, 50), st.integers(1, 50))
def test_an_interval_holds_its_share_and_stays_within_0_and_1(count: int, more: int) -> None:
    found = share_of(count, count + more)
    assert found is not None
    assert 0.0 <= found.low <= found.share <= found.high <= 1.0
    assert share_of(0, 0) is None
