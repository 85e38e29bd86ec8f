"""Published outcomes against the log: an honest engine differs in nothing, and no altered bit goes unseen."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import skew_outcomes
from streams.signature import nobody
from streams.skew import Given, judged_by
from tests.streams.histories import machine_over
from tests.streams.logs import START_MS, label, mixed_log, payment
from tests.streams.replays import StoredAt
from tests.streams.served import (
    Logs,
    Published,
    altered,
    busy_log,
    compared_outcomes,
    facts,
    next_float,
    place_of,
    published_outcomes,
    with_feature,
)
from tests.streams.test_verify import with_gaps

AMOUNT, AGE = "account_amount_minor_sum_1h", "account_seconds_since_last_payment"


@pytest.fixture(scope="module")
def logs() -> Logs:
    return {0: busy_log(), 4: with_gaps(mixed_log(900, seed=8))}


@pytest.fixture(scope="module")
def published(logs: Logs) -> Published:
    return published_outcomes(logs)


def with_one(published: Published, place: int, value: bytes) -> Published:
    """Another outcome at a place of partition 0."""
    return {**published, 0: [*published[0][:place], value, *published[0][place + 1 :]]}


def test_an_honest_engine_differs_in_nothing_wherever_it_is_asked(logs: Logs, published: Published) -> None:
    outcomes = [facts(value) for values in published.values() for value in values]
    found, claims = compared_outcomes(logs, published)
    assert (found.tally.rows, found.tally.differing_rows, found.not_given) == (len(outcomes), 0, 0)
    assert (found.tally.found(), found.first) == ([], {})
    at_label = [
        one for one in outcomes if not (one["judged"] and one["judged"]["decision"]) or "approximate" in one["flags"]
    ]
    assert claims.at_event == len(outcomes) - len(at_label)
    assert min(claims.at_event, len(at_label)) > 50
    assert claims.without_features == sum(one["judged"] is None for one in outcomes) > 0
    assert claims.unreadable == claims.other_feature_set == 0


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(0, 500))
def test_whatever_happened_an_honest_engine_differs_in_nothing(seed: int, accounts: int, start: int) -> None:
    log = {0: with_gaps(mixed_log(500, seed, accounts))}
    values = published_outcomes(log)
    first = log[0][min(start, len(log[0]) - 1)].offset
    found, _ = compared_outcomes(log, values, first)
    assert found.tally.rows == sum(facts(value)["at"]["offset"] >= first for value in values[0])
    assert (found.tally.differing_rows, found.not_given) == (0, 0)


@pytest.mark.parametrize("name", [AMOUNT, AGE])
def test_one_unit_in_the_last_place_is_found_and_said_where(logs: Logs, published: Published, name: str) -> None:
    place = with_feature(published[0], name)
    value = published[0][place]
    served = facts(value)["features"][name]
    found, claims = compared_outcomes(logs, with_one(published, place, altered(value, **{name: next_float(served)})))
    (skew,) = found.tally.found()
    assert (skew.name, skew.differing, skew.one_sided) == (name, 1, 0)
    assert skew.share == 1 / claims.rows
    assert skew.largest == next_float(served) - served > 0
    assert found.first == {name: (0, place_of(value), True)}


def test_a_value_on_one_side_only_is_found_whichever_side_it_is(logs: Logs, published: Published) -> None:
    one = with_feature(published[0], AGE)
    lost = altered(published[0][one], **{AGE: None})
    (skew,) = compared_outcomes(logs, with_one(published, one, lost))[0].tally.found()
    assert (skew.name, skew.differing, skew.one_sided, skew.largest) == (AGE, 1, 1, 0.0)
    other = next(n for n, value in enumerate(published[0]) if facts(value)["features"].get(AGE, 1.0) is None)
    gained = altered(published[0][other], **{AGE: 5.0})
    (skew,) = compared_outcomes(logs, with_one(published, other, gained))[0].tally.found()
    assert (skew.name, skew.differing, skew.one_sided) == (AGE, 1, 1)


def test_outcomes_are_compared_with_what_the_model_was_given(
    logs: Logs, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Had the model been given something else than the label says, every such row would differ."""

    def off(*arguments: object) -> Given:
        given = judged_by(*arguments)  # type: ignore[arg-type]
        return given._replace(features=np.nextafter(given.features, np.float32(np.inf)))

    monkeypatch.setattr(skew_outcomes, "judged_by", off)
    found, claims = compared_outcomes(logs, published)
    assert found.tally.differing_rows == claims.at_event > 50


def test_features_that_were_lost_on_the_way_are_found(logs: Logs, published: Published) -> None:
    place = with_feature(published[0], AMOUNT)
    outcome = facts(published[0][place])
    silent = orjson.dumps({**outcome, "features": {}, "judged": None, "flags": ["not_in_history"]})
    found, _ = compared_outcomes(logs, with_one(published, place, silent))
    lost = {name for name, value in outcome["features"].items() if value is not None}
    assert {skew.name for skew in found.tally.found()} == lost
    assert all(skew.one_sided == skew.differing == 1 for skew in found.tally.found())


def test_an_outcome_may_come_again_and_a_copy_that_is_another_is_found(logs: Logs, published: Published) -> None:
    twice = {number: [*values, *values[::-1]] for number, values in published.items()}
    found, claims = compared_outcomes(logs, twice)
    assert (found.tally.rows, found.tally.differing_rows) == (2 * sum(map(len, published.values())), 0)
    assert claims.rows == found.tally.rows
    place = with_feature(published[0], AMOUNT)
    forged = {**published, 0: [*published[0], altered(published[0][place], **{AMOUNT: 1e300})]}
    found, _ = compared_outcomes(logs, forged)
    assert found.first == {AMOUNT: (0, place_of(published[0][place]), True)}


def test_the_size_of_a_chunk_shows_nowhere(logs: Logs, published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    places = (3, len(published[0]) - 2)
    values = list(published[0])
    for place in places:
        values[place] = altered(values[place], **{AMOUNT: -1.0})
    whole, _ = compared_outcomes(logs, {**published, 0: values})
    monkeypatch.setattr(skew_outcomes, "CHUNK_ROWS", 7)
    cut, _ = compared_outcomes(logs, {**published, 0: values})
    assert cut.tally.found() == whole.tally.found()
    assert cut.first == whole.first
    assert (cut.tally.rows, cut.tally.differing_rows) == (whole.tally.rows, 2)


def test_the_range_is_that_of_the_labels_also_behind_a_snapshot(logs: Logs, published: Published) -> None:
    log = {0: logs[0]}
    start = log[0][1_200].offset
    inside = [facts(value) for value in published[0] if facts(value)["at"]["offset"] >= start]
    machine = machine_over(log, StoredAt(log[0], log[0][1_000].offset))
    found, claims = compared_outcomes(log, {0: published[0]}, start, machine)
    assert (found.tally.rows, found.tally.differing_rows) == (len(inside), 0)
    known = [one for one in inside if one["judged"] and one["judged"]["offset"] >= start]
    assert 0 < claims.at_event <= len(known) < len(inside)


def test_what_is_no_outcome_of_its_partition_is_counted(logs: Logs, published: Published) -> None:
    value = published[0][0]
    strange = orjson.dumps({**facts(value), "at": {"partition": 4, "offset": 1}})
    older = orjson.dumps({**facts(value), "feature_set": "0" * 16})
    more = [b"", b"{", orjson.dumps({"event_id": "l1"}), strange, older]
    found, claims = compared_outcomes(logs, {**published, 0: [*published[0], *more]})
    assert (claims.unreadable, claims.other_feature_set, found.tally.differing_rows) == (4, 1, 0)
    assert claims.rows == found.tally.rows == sum(map(len, published.values()))


def test_an_outcome_that_the_log_does_not_give_is_counted(logs: Logs, published: Published) -> None:
    outcome = facts(published[0][0])
    gap = next(one.offset + 1 for one, after in pairwise(logs[0]) if after.offset > one.offset + 1)
    nowhere = orjson.dumps({**outcome, "judged": None, "at": {**outcome["at"], "offset": gap}})
    found, _ = compared_outcomes(logs, {**published, 0: [*published[0], nowhere]})
    assert (found.not_given, found.tally.differing_rows) == (1, 0)


def test_where_labels_are_not_trusted_the_log_gives_no_outcome_of_its_own(logs: Logs, published: Published) -> None:
    found, claims = compared_outcomes(logs, published, machine=replace(machine_over(logs), trusted=nobody))
    assert found.not_given == claims.rows - claims.at_event > 0
    assert found.tally.differing_rows == 0


def test_what_has_no_verdict_is_explained_without_one(logs: Logs) -> None:
    change = {"event_id": "c1", "type": "profile_change", "account_id": "a1", "time_ms": START_MS, "field": "password"}
    log = {0: with_gaps([payment(1, "a1", START_MS), orjson.dumps(change), label(2, "c1", "a1", START_MS + 5)])}
    values = published_outcomes(log)
    assert facts(values[0][0])["judged"]["decision"] is None
    assert compared_outcomes(log, values)[0].tally.differing_rows == 0
    found, claims = compared_outcomes(log, {0: [altered(values[0][0], **{AMOUNT: 7.0})]})
    assert found.first == {AMOUNT: (0, log[0][1].offset, False)}
    assert claims.at_event == 0


def test_without_outcomes_nothing_is_compared(logs: Logs) -> None:
    found, claims = compared_outcomes(logs, {0: [], 4: []})
    assert (claims.rows, found.tally.rows, found.not_given) == (0, 0, 0)
