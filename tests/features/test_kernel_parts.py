"""Each step of the kernel against a few lines of plain Python, to the last bit."""

import math
import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import measures as m
from features.branchless import nan_unless
from features.catalogue import FEATURES
from features.columns import DECLINED, FAILED, LOGIN, PAYMENT, PROFILE_CHANGE, Events
from features.feature import DEVIATIONS, RATIO
from features.packed_counts import (
    DECLINES,
    FAILED_LOGINS,
    INCREMENTS,
    LOGINS,
    PAYMENTS,
    PROFILE_CHANGES,
    count_of,
)
from features.recipe import computed_places, direct_places, factors_of, serve
from features.scratch import HISTORY_CAPACITY, PLACES, ROOM, SCRATCH, WHOLE_PAST, place_of_measure
from features.seen import forget, meet, place_of
from features.walk import walk
from features.windows import WINDOW_LENGTHS_MS
from tests.features.agreement import OF_ACCOUNTS, served
from tests.features.sequences import columns, histories, seeded_events
from tests.naive import features_naive


def bits(number: float) -> bytes:
    return struct.pack("<d", number)


def new_scratch() -> np.void:
    """Working memory as a kernel finds it: full of what was left there."""
    scratch = np.frombuffer(random.Random(7).randbytes(SCRATCH.itemsize), dtype=SCRATCH).copy()[0]
    scratch["room"] = ROOM
    return scratch


def one_history(seed: int, size: int) -> Events:
    """Events of one account as a history holds them."""
    _, records = columns(seeded_events(seed, size, account=("a",)))
    history: Events = records[np.argsort(records["time_ms"], kind="stable")]
    return history


def moments(amounts: list[int]) -> tuple[int, float, float]:
    """Welford's count, mean and sum of squared distances, in this order."""
    count, mean, squares = 0, 0.0, 0.0
    for amount in amounts:
        count += 1
        delta = amount - mean
        mean += delta / count
        squares += delta * (amount - mean)
    return count, mean, squares


@pytest.mark.parametrize("size", [0, 1, 2, 15, 60, HISTORY_CAPACITY])
@pytest.mark.parametrize("seed", range(4))
def test_moments_are_those_of_welford_over_the_payments_from_the_newest(seed: int, size: int) -> None:
    history = one_history(seed, size)
    event_ms = int(history["time_ms"].max(initial=10**12)) + seed
    scratch = new_scratch()
    forget(scratch, size)
    walk(scratch, history, size, 0, 10**6, event_ms)
    payments = history[history["kind"] == PAYMENT][::-1]
    for place, length_ms in enumerate((*WINDOW_LENGTHS_MS, 2**62)):
        amounts = payments["amount_minor"][event_ms - payments["time_ms"] < length_ms].tolist()
        count, mean, squares = moments(amounts)
        assert count_of(scratch["counts"][place], PAYMENTS) == count
        assert bits(scratch["mean"][place]) == bits(mean)
        assert bits(scratch["squares"][place]) == bits(squares)


def test_another_order_would_be_noticed() -> None:
    amounts = one_history(1, HISTORY_CAPACITY)["amount_minor"].tolist()
    assert bits(moments(amounts)[2]) != bits(moments(amounts[::-1])[2])


def test_the_walk_leaves_out_what_arrived_later() -> None:
    history = one_history(5, 80)
    offset = 41
    earlier = history[history["offset"] < offset]
    found = []
    for records in (history, earlier):
        scratch = new_scratch()
        forget(scratch, len(records))
        walk(scratch, records, len(records), 0, offset, int(history["time_ms"].max()))
        found.append({name: scratch[name][: WHOLE_PAST + 1].tobytes() for name in ("counts", "distinct", "mean")})
        assert scratch["events"] == len(earlier)
    assert found[0] == found[1]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, HISTORY_CAPACITY), st.sampled_from((0, 4, 9, 64)))
def test_what_was_met_is_found_however_the_keys_collide(seed: int, most: int, equal_bits: int) -> None:
    chance = random.Random(seed)
    pool = [(chance.getrandbits(64) << equal_bits) % 2**64 | 1 for _ in range(most)]
    scratch = new_scratch()
    forget(scratch, most)
    held, newest_ms, mask = scratch["held"], scratch["newest_ms"], scratch["mask"]
    known: dict[tuple[int, int], int] = {}
    for time_ms in range(most, 0, -1):
        entity, key = chance.randrange(5), chance.choice((*pool, 0))
        place, new = meet(held, newest_ms, mask, entity, np.uint64(key), time_ms)
        assert new == (key != 0 and (entity, key) not in known)
        assert held[entity, place] == key
        if key:
            known.setdefault((entity, key), time_ms)
            assert newest_ms[entity, place] == known[entity, key]
    for entity in range(5):
        for key in pool:
            place = place_of(held, mask, entity, np.uint64(key))
            assert (held[entity, place] == key) == ((entity, key) in known)


@pytest.mark.parametrize("low_bits", [0, 12])
def test_entities_whose_hashes_end_alike_are_told_apart(low_bits: int) -> None:
    """Whoever chooses identifiers may choose such hashes: the features stay right."""
    chance = random.Random(low_bits)
    alike = tuple(chance.getrandbits(64 - low_bits) << low_bits | 5 for _ in range(60))
    pools = dict.fromkeys(("merchant", "device", "ip", "beneficiary"), (None, *alike))
    arrivals = seeded_events(3, 200, account=("a",), **pools)
    features, _ = served(arrivals)
    names = [name for name in OF_ACCOUNTS if "_distinct_" in name or "_is_new" in name or "_new_device" in name]
    for row, history in list(enumerate(histories(arrivals)))[::9]:
        expected = features_naive(history, arrivals[row].event)
        for name in names:
            got = float(features[row, FEATURES.index[name]])
            assert got == np.float32(expected[name]) or (math.isnan(got) and math.isnan(expected[name])), name


@given(st.lists(st.tuples(st.sampled_from((PAYMENT, LOGIN, PROFILE_CHANGE, 4)), st.integers(0, 3)), max_size=320))
def test_packed_counts_count(events: list[tuple[int, int]]) -> None:
    packed = sum((INCREMENTS[kind * 4 + marks] for kind, marks in events), start=np.uint64(0))
    of_kind = {kind: [marks for other, marks in events if other == kind] for kind in (PAYMENT, LOGIN, PROFILE_CHANGE)}
    expected = {
        PAYMENTS: len(of_kind[PAYMENT]),
        DECLINES: sum(marks & DECLINED > 0 for marks in of_kind[PAYMENT]),
        LOGINS: len(of_kind[LOGIN]),
        FAILED_LOGINS: sum(marks & FAILED > 0 for marks in of_kind[LOGIN]),
        PROFILE_CHANGES: len(of_kind[PROFILE_CHANGE]),
    }
    assert {bit: int(count_of(packed, bit)) for bit in expected} == expected


measures = st.one_of(
    st.sampled_from((0.0, -0.0, 1.0, -1.0, math.nan, 1e15, 1e-300)), st.floats(-1e15, 1e15, allow_subnormal=False)
)


@settings(deadline=None, max_examples=60)
@given(st.lists(measures, min_size=m.N_MEASURES, max_size=m.N_MEASURES))
def test_features_are_the_plan_carried_out_and_rounded_once(values: list[float]) -> None:
    scratch = new_scratch()
    for measure, value in enumerate(values):
        scratch["measures"][place_of_measure(measure)] = value
    plan, scales = FEATURES.plan, FEATURES.scales
    row = np.full((1, len(plan)), 77.0, dtype=np.float32)
    serve(row, 0, scratch, direct_places(plan), computed_places(plan), factors_of(plan, scales))
    for column, (operation, first, second, third) in enumerate(plan.tolist()):
        expected = values[first]
        if operation == RATIO:
            expected = float(scales[column]) * expected / values[second] if values[second] != 0.0 else math.nan
        elif operation == DEVIATIONS:
            expected = (expected - values[second]) / values[third] if values[third] != 0.0 else math.nan
        got = row[0, column]
        with np.errstate(over="ignore"):
            assert got.tobytes() == np.float32(expected).tobytes() or (np.isnan(got) and math.isnan(expected))


def test_every_measure_has_a_place_of_its_own() -> None:
    places = [place_of_measure(measure) for measure in range(m.N_MEASURES)]
    assert len(set(places)) == m.N_MEASURES
    assert max(places) < PLACES


def test_what_is_missing_is_the_one_nan() -> None:
    assert bits(nan_unless(np.bool_(False))) == bits(math.nan)
    assert bits(5.0 + nan_unless(np.bool_(True))) == bits(5.0)
