"""Population stability index against a slow sum, its bias against simulation, and missing values by themselves."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bins import count_bins, count_scores, score_micro
from models.reference import FeatureReference, Reference
from models.stability import drifted, joined_bins, missing_changed, psi
from models.summary import Counts, count_batch
from models.watch_limits import StabilityLimits
from tests.models.watched_traffic import FEATURES, feature_rows, scores, training

LIMITS = StabilityLimits()
BINS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=12)


def slow_psi(reference: list[int], counts: list[int]) -> float:
    pairs = [(e + 0.5, a + 0.5) for e, a in zip(reference, counts, strict=True) if e or a]
    expected, actual = sum(e for e, _ in pairs), sum(a for _, a in pairs)
    return sum((a / actual - e / expected) * math.log((a / actual) / (e / expected)) for e, a in pairs)


@given(BINS)
def test_the_index_is_the_slow_sum(bins: list[tuple[int, int]]) -> None:
    reference, counts = [e for e, _ in bins], [a for _, a in bins]
    found = psi(reference, counts)
    if not sum(reference) or not sum(counts):
        assert found is None
        return
    assert found is not None
    assert found.value == pytest.approx(slow_psi(reference, counts), abs=1e-12)
    assert found.value >= -1e-12
    assert found.bins == sum(1 for e, a in bins if e or a)


def test_an_index_of_the_wrong_direction_would_be_noticed() -> None:
    """The comparison has two sides: a Kullback-Leibler divergence is another number."""
    reference, counts = [100, 300], [250, 150]
    found = psi(reference, counts)
    assert found is not None
    one_sided = sum(a / 400 * math.log(a / e) for e, a in zip(reference, counts, strict=True))
    assert abs(found.value - one_sided) > 0.1


@given(st.lists(st.integers(1, 500), min_size=2, max_size=12), st.lists(st.integers(1, 500), min_size=12, max_size=12))
def test_the_index_is_symmetric_and_0_between_equals(reference: list[int], other: list[int]) -> None:
    there, back = psi(reference, other[: len(reference)]), psi(other[: len(reference)], reference)
    equal = psi(reference, reference)
    assert there is not None
    assert back is not None
    assert equal is not None
    assert there.value == pytest.approx(back.value)
    assert equal.value == 0.0
    assert equal.excess == 0.0


@pytest.mark.parametrize("rows", [200, 1_000, 5_000])
def test_the_bias_is_what_two_samples_of_one_distribution_show(rows: int) -> None:
    random = np.random.default_rng(1)
    found = [
        psi(random.multinomial(5_000, [0.1] * 10).tolist(), random.multinomial(rows, [0.1] * 10).tolist())
        for _ in range(400)
    ]
    assert np.mean([one.value for one in found if one]) == pytest.approx(found[0].bias if found[0] else 0.0, rel=0.1)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=50), st.sampled_from([0.0, 0.05, 0.3]))
def test_joined_bins_are_neighbours_and_hold_enough(reference: list[int], least: float) -> None:
    groups = joined_bins(reference, least)
    assert groups[0] == 0
    assert set(np.diff(groups).tolist()) <= {0, 1}
    held = np.bincount(groups, weights=reference)
    assert len(held) == 1 or (held >= least * sum(reference)).all()


def seen(rows: int, seed: int, reference: Reference, shift: float = 0.0, lost: float = 0.0) -> Counts:
    """Real rows through the way that the engine takes, the ratio moved or lost."""
    random = np.random.default_rng(seed)
    sample = feature_rows(rows, random)
    sample[:, 1] += np.float32(shift)
    sample[random.random(rows) < lost, 1] = np.nan
    zeros = np.zeros(rows, dtype=np.int64)
    return count_batch(scores(rows, random), *[zeros.astype(np.uint8)] * 2, [], zeros, (), sample, reference.edges())


def test_rows_like_those_of_training_are_no_drift() -> None:
    reference = training()
    for seed in range(20):
        counts = seen(2_000, seed, reference)
        assert drifted(reference, counts, LIMITS) == []
        assert missing_changed(reference, counts, LIMITS) == []


@pytest.mark.parametrize(("shift", "level"), [(0.4, "warn"), (0.8, "act")])
def test_planted_drift_is_found_and_named(shift: float, level: str) -> None:
    reference = training()
    for seed in range(10):
        (finding,) = drifted(reference, seen(2_000, seed, reference, shift=shift), LIMITS)
        assert (finding.name, finding.level) == ("psi:ratio", level)
        assert "values of ratio are not distributed as in training: index 0." in finding.text


@pytest.mark.parametrize(("lost", "level"), [(0.1, "warn"), (1.0, "act")])
def test_lost_values_are_missing_and_no_drift(lost: float, level: str) -> None:
    reference = training()
    counts = seen(2_000, 1, reference, lost=lost)
    assert drifted(reference, counts, LIMITS) == []
    (finding,) = missing_changed(reference, counts, LIMITS)
    assert (finding.name, finding.level) == ("missing:ratio", level)


def test_values_that_come_where_none_did_are_a_change_too() -> None:
    reference = training()
    counts = seen(2_000, 1, reference)
    full = msgspec.structs.replace(counts, missing=(0,) * len(FEATURES))
    assert [finding.name for finding in missing_changed(reference, full, LIMITS)] == ["missing:distance"]


def test_a_share_of_missing_values_moves_by_chance_in_a_small_sample() -> None:
    """10 points are a change of 10,000 rows, and nothing in 100."""
    reference = training()
    distance = FEATURES.index("distance")

    def with_share(rows: int) -> Counts:
        missing = [0] * len(FEATURES)
        missing[distance] = round(rows * (reference.features[distance].missing_share or 0.0) + rows * 0.1)
        return Counts(sampled=rows, missing=tuple(missing), bins=((),) * len(FEATURES))

    assert missing_changed(reference, with_share(100), LIMITS) == []
    assert [one.name for one in missing_changed(reference, with_share(10_000), LIMITS)] == ["missing:distance"]


def test_too_few_rows_say_nothing() -> None:
    reference = training()
    assert drifted(reference, seen(999, 1, reference, shift=3.0), LIMITS) == []
    assert missing_changed(reference, seen(99, 1, reference, lost=1.0), LIMITS) == []
    assert drifted(reference, Counts(), LIMITS) == []


def test_scores_that_move_are_found() -> None:
    reference = training()
    higher = np.clip(scores(5_000, np.random.default_rng(1)) * 2.5, 0.0, 1.0)
    counts = Counts(scores=tuple(count_scores(score_micro(higher)).tolist()))
    assert [finding.name for finding in drifted(reference, counts, LIMITS)] == ["psi:score"]


def test_a_value_that_training_never_had_is_drift_of_a_feature_of_few_values() -> None:
    reference = training()
    constant = reference.features[FEATURES.index("constant")]
    counts, _ = count_bins(np.full(2_000, 7.0, dtype=np.float32), np.array(constant.edges, dtype=np.float32))
    index = psi(constant.counts, counts.tolist())
    assert index is not None
    assert index.excess > 1.0


def test_what_only_says_what_time_it_is_does_not_drift() -> None:
    """Night after a training of whole weeks is no drift; the same bins under another name are."""
    for name, expected in (("event_local_hour", []), ("account_payment_count_1h", ["psi:account_payment_count_1h"])):
        feature = FeatureReference(name=name, edges=(5.0,), counts=(5_000, 5_000), missing=0)
        reference = Reference(
            features=(feature,), score_counts=(0,) * 49 + (10_000,), decision_counts=(10_000, 0, 0, 0)
        )
        counts = Counts(sampled=5_000, bins=((5_000, 0),), missing=(0,))
        assert [finding.name for finding in drifted(reference, counts, StabilityLimits())] == expected
