"""Versions of profiles against a list that is searched from its end."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.entity_profile import (
    PROFILE,
    VALUES,
    no_profiles,
    profile_named,
    profile_of,
    profile_records,
    says_something,
    source_of,
)
from features.entity_table import EntityTable

ENTITIES = st.tuples(st.integers(0, 4), st.integers(1, 6))
WRITES = st.lists(st.tuples(ENTITIES, st.integers(0, 3), st.integers(0, 4)), max_size=60)


def profile(kind: int, entity: int, number: int) -> np.ndarray:
    """A profile whose first value is `number`; of 0 it says nothing."""
    one = no_profiles(1)
    one["kind"], one["entity"], one["as_of_ms"], one["values"][0, 0] = kind, entity, number, number
    return one


class PlainTable:
    """The oracle: everything that was ever put, in order."""

    def __init__(self) -> None:
        self.said: list[tuple[int, int, int, int]] = []

    def value(self, kind: int, entity: int, visible: int) -> int:
        found = [number for k, e, number, offset in self.said if (k, e) == (kind, entity) and offset <= visible]
        return found[-1] if found else 0


def fill(writes: list[tuple[tuple[int, int], int, int]]) -> tuple[EntityTable, PlainTable, int]:
    table, plain, offset = EntityTable(), PlainTable(), 0
    for (kind, entity), step, number in writes:
        offset += step
        table.put(profile(kind, entity, number), np.array([offset]))
        plain.said.append((kind, entity, number, offset))
    return table, plain, offset


def value(table: EntityTable, kind: int, entity: int, visible: int) -> int:
    found = table.profile(kind, entity, visible)
    return int(found["values"][0, 0]) if len(found) else 0


@given(WRITES, st.data())
def test_each_offset_sees_the_newest_version_that_is_not_later(
    writes: list[tuple[tuple[int, int], int, int]], data: st.DataObject
) -> None:
    table, plain, end = fill(writes)
    for _ in range(10):
        (kind, entity), visible = data.draw(ENTITIES), data.draw(st.integers(-1, end + 2))
        assert value(table, kind, entity, visible) == plain.value(kind, entity, visible)


@given(WRITES, st.integers(0, 100), WRITES)
def test_what_is_let_go_of_is_what_nobody_sees(
    writes: list[tuple[tuple[int, int], int, int]], floor: int, more: list[tuple[tuple[int, int], int, int]]
) -> None:
    table, plain, end = fill(writes)
    before = len(table)
    table.forget(floor)
    assert table.floor == floor
    assert len(table) <= before
    offset = end
    for (kind, entity), step, number in more:
        offset += step
        table.put(profile(kind, entity, number), np.array([offset]))
        plain.said.append((kind, entity, number, offset))
    for kind in range(5):
        for entity in range(1, 7):
            for visible in range(floor, max(floor, offset) + 2):
                assert value(table, kind, entity, visible) == plain.value(kind, entity, visible)


def test_letting_go_gives_memory_back() -> None:
    table, _, end = fill([((0, 1), 1, 1 + number % 4) for number in range(5_000)])
    table.forget(end)
    assert len(table) == 1
    table.put(profile(0, 1, 0), np.array([end + 1]))
    table.forget(end + 1)
    assert len(table) == 0


@given(WRITES)
def test_the_newest_of_each_entity_in_one_order(writes: list[tuple[tuple[int, int], int, int]]) -> None:
    table, plain, end = fill(writes)
    newest = {name: plain.value(*name, end) for name, _, _ in writes}
    found = [(int(row["kind"]), int(row["entity"]), int(row["values"][0])) for row in table.newest()]
    assert found == sorted((*name, number) for name, number in newest.items() if number)


NUMBERS = st.floats(0, 1e6, width=32)


@given(
    st.integers(0, 5),
    st.integers(1, 2**64 - 1),
    st.integers(0, 2**50),
    st.dictionaries(st.sampled_from(VALUES), NUMBERS),
)
def test_a_profile_survives_its_record_to_the_bit(
    kind: int, entity: int, as_of_ms: int, numbers: dict[str, float]
) -> None:
    one = np.zeros(1, dtype=PROFILE)
    one["kind"], one["entity"], one["as_of_ms"] = kind, entity, as_of_ms
    one["values"] = no_profiles(1)["values"]
    for name, number in numbers.items():
        one["values"][0, VALUES.index(name)] = number or np.float32(no_profiles(1)["values"][0, VALUES.index(name)])
    ((key, value),) = profile_records(one, 3, [7])
    read = profile_named(key) if value is None else profile_of(value)
    assert read["values"].tobytes() == one["values"].tobytes()
    assert (read["kind"], read["entity"]) == (one["kind"], one["entity"])
    assert value is None or (source_of(value) == (3, 7) and read["as_of_ms"] == as_of_ms)
    assert (value is None) == (not says_something(one)[0])


@pytest.mark.parametrize(
    ("name", "value"), [("entity", "1" + 16 * "0"), ("as_of_ms", 2**63), ("values", {"accounts_1h": 1e300})]
)
def test_a_record_with_a_number_out_of_range_is_refused(name: str, value: object) -> None:
    one = no_profiles(1)
    one["values"][0, 0] = 2
    ((_, record),) = profile_records(one, 0, [1])
    assert record is not None
    with pytest.raises((ValueError, msgspec.DecodeError)):
        profile_of(msgspec.json.encode(msgspec.json.decode(record) | {name: value}))


def test_the_bytes_of_a_profile_are_what_they_always_were() -> None:
    one = no_profiles(1)
    one["kind"], one["entity"], one["as_of_ms"] = 3, 0xFEDCBA9876543210, 1_750_000_000_000
    told = {"accounts_1h": 4, "accounts_90d": 17, "pass_through_48h": 0.9375, "fraud_rate_30d": 0.5}
    for name, number in told.items():
        one["values"][0, VALUES.index(name)] = number
    ((key, value),) = profile_records(one, 3, [17])
    assert key == b"beneficiary:fedcba9876543210"
    assert value == (
        b'{"kind":"beneficiary","entity":"fedcba9876543210","as_of_ms":1750000000000,"values":{"accounts_1h":4.0,'
        b'"accounts_90d":17.0,"pass_through_48h":0.9375,"fraud_rate_30d":0.5},"source":[3,17],"schema":1}'
    )
