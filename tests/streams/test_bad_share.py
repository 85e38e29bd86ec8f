"""When a run stops because too many records are refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import AssayError
from streams.bad_share import FEWEST_RECORDS, RECENT_RECORDS, BadShare

batches = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=30)


def test_nothing_is_concluded_from_few_records() -> None:
    watch = BadShare(0.0)
    watch.add(good=0, bad=FEWEST_RECORDS - 1)
    assert watch.share == 1.0
    with pytest.raises(AssayError, match="100 of the last 100 records were refused"):
        watch.add(good=0, bad=1)


def test_the_limit_itself_is_allowed() -> None:
    watch = BadShare(0.25)
    watch.add(good=75, bad=25)
    with pytest.raises(
        AssayError, match="26 of the last 101 .*more than the share of 0.25 that engine.bad_share allows"
    ):
        watch.add(good=0, bad=1)


def test_a_limit_of_1_never_stops() -> None:
    watch = BadShare(1.0)
    watch.add(good=0, bad=5_000)
    assert watch.share == 1.0


def test_before_the_first_record_the_share_is_0() -> None:
    watch = BadShare(0.5)
    assert watch.share == 0.0
    watch.add(good=0, bad=0)
    assert watch.share == 0.0


def test_a_batch_is_forgotten_once_those_after_it_are_enough() -> None:
    watch = BadShare(1.0)
    watch.add(good=0, bad=100)
    watch.add(good=RECENT_RECORDS - 1, bad=0)
    assert watch.share == 100 / (RECENT_RECORDS + 99)
    watch.add(good=1, bad=0)
    assert watch.share == 0.0


def test_what_lies_long_back_is_forgotten() -> None:
    """A bad hour yesterday does not add to a bad minute today, and a good year does not hide it."""
    watch = BadShare(0.5)
    watch.add(good=60, bad=60)
    for _ in range(20):
        watch.add(good=100, bad=0)
    assert watch.share == 0.0
    with pytest.raises(AssayError):
        for _ in range(6):
            watch.add(good=0, bad=100)


@settings(deadline=None)
@given(batches=batches, limit=st.floats(0, 1))
def test_the_share_is_that_of_the_fewest_latest_batches_with_enough_records(
    batches: list[tuple[int, int]], limit: float
) -> None:
    watch = BadShare(limit)
    for number, (good, bad) in enumerate(batches):
        latest: list[tuple[int, int]] = []
        for batch in reversed(batches[: number + 1]):
            if sum(map(sum, latest)) >= RECENT_RECORDS:
                break
            latest.append(batch)
        records, refused = sum(map(sum, latest)), sum(bad for _, bad in latest)
        stops = records >= FEWEST_RECORDS and refused / records > limit
        if stops:
            with pytest.raises(AssayError, match=f"{refused} of the last {records} records"):
                watch.add(good=good, bad=bad)
            return
        watch.add(good=good, bad=bad)
        assert watch.share == (refused / records if records else 0.0)
