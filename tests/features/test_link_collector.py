"""Links, volumes and marks against a slow and obvious answer, however the log is cut and wherever it is interrupted."""

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.accounts import Accounts
from features.catalogue import FEATURES
from features.columns import DECLINED, FRAUD, LABEL, LEGIT, LOGIN, PAYMENT, PROFILE_CHANGE, record_of
from features.entities import ENTITY_KINDS
from features.keys import keys_of
from features.link_collector import LinkCollector
from features.link_waiting import BLOCK, MOST_VOLUMES
from features.links import NO_FLUSHES, SMALL_MINOR, Flushes, flushes_json, flushes_of, joined

START_MS = 1_750_000_000_000
PAIRED = ("device", "ip", "beneficiary")
MARKED = (*PAIRED, "merchant", "bin", "category", "network", "email_domain")


class Row(NamedTuple):
    """One record of a log, with fields as an event has them."""

    account: str
    offset: int
    fields: dict[str, Any]
    judged: int = 0


def draw_log(seed: int, length: int = 120) -> list[Row]:
    """Events of a few accounts that share entities, some late, repeated, or labels; times in small and large steps."""
    source = random.Random(seed)
    log: list[Row] = []
    time_ms, offset = START_MS, source.choice((0, BLOCK - 40))
    for number in range(length):
        time_ms += source.choice((0, 5, 400, 1_000, 20_000, 600_000))
        offset += source.choice((1, 1, 1, 3))
        account = f"a{source.randrange(5)}"
        draw = source.random()
        if draw < 0.1 and log:
            log.append(source.choice(log)._replace(offset=offset))
            continue
        if draw < 0.2 and log:
            judged = source.choice(log)
            fields = {
                "event_hash": 10_000 + number,
                "kind": LABEL,
                "time_ms": time_ms,
                "marks": source.choice((FRAUD, LEGIT)),
            }
            log.append(Row(judged.account, offset, fields, judged.fields["event_hash"]))
            continue
        fields = {
            "event_hash": number + 1,
            "content_hash": number + 1,
            "time_ms": time_ms - source.choice((0, 0, 0, 3_000)),
            "kind": source.choice((PAYMENT, PAYMENT, PAYMENT, LOGIN, PROFILE_CHANGE)),
            "device": source.choice((0, 71, 72, 73)),
            "ip": source.choice((0, 81, 82, 83)),
        }
        fields["network"] = {81: 8, 82: 8, 83: 9}.get(fields["ip"], 0)
        if fields["kind"] == PAYMENT:
            fields |= {
                "merchant": source.choice((0, 91, 92)),
                "category": source.choice((0, 5_411)),
                "bin": source.choice((0, 411_111)),
                "email_domain": source.choice((0, 51, 52)),
                "beneficiary": source.choice((0, 0, 61)),
                "amount_minor": source.choice((1, SMALL_MINOR - 1, SMALL_MINOR, 5_000)),
                "marks": source.choice((0, 0, DECLINED)),
            }
        log.append(Row(account, offset, fields))
    return log


class Naive:
    """One event at a time, in dictionaries."""

    def __init__(self) -> None:
        self.earliest_ms: dict[tuple[str, str, int], int] = {}
        self.events: dict[tuple[str, int], dict[str, Any]] = {}
        self.clock_ms = self.block = self.number = 0
        self.links: dict[tuple[int, int, str], list[int]] = {}
        self.volumes: dict[tuple[str, int, int, int], int] = {}
        self.marks: list[tuple[Any, ...]] = []
        self.flushes: list[dict[str, Any]] = []

    def add(self, row: Row) -> None:
        fields = row.fields
        is_label = fields["kind"] == LABEL
        event = (row.account, fields["event_hash"])
        is_taken = (row.account, row.judged) in self.events if is_label else event not in self.events
        before_ms = self.clock_ms
        now_ms = max(before_ms, fields["time_ms"]) if is_taken else before_ms
        is_second = now_ms // 1_000 != before_ms // 1_000 or row.offset // BLOCK != self.block
        is_hour = now_ms // 3_600_000 != before_ms // 3_600_000 or len(self.volumes) + 3 > MOST_VOLUMES
        if is_second or is_hour:
            self.close(row.offset, before_ms, is_second, is_hour)
        self.clock_ms, self.block = now_ms, row.offset // BLOCK
        if not is_taken:
            return
        if is_label:
            judged = self.events[row.account, row.judged]
            entities = tuple(judged.get(name, 0) for name in MARKED)
            is_fraud = bool(fields["marks"] & FRAUD)
            mark = (row.account, row.judged, fields["event_hash"], fields["time_ms"], judged["time_ms"], is_fraud)
            self.marks.append((*mark, *entities))
            return
        self.events[event] = fields
        is_payment = fields["kind"] == PAYMENT
        amount = fields.get("amount_minor", 0)
        for name in PAIRED:
            entity = fields.get(name, 0)
            seen_ms = self.earliest_ms.get((row.account, name, entity))
            if entity and (seen_ms is None or seen_ms > fields["time_ms"]):  # a late event has an earlier past
                self.earliest_ms[row.account, name, entity] = fields["time_ms"]
                pair = self.links.setdefault((hash_of(row.account), entity, name), [0, 0, 0, 0, 0, 0])
                pair[0] = max(pair[0], fields["time_ms"])
                pair[1] += is_payment
                pair[2] += is_payment and bool(fields.get("marks", 0) & DECLINED)
                pair[3] += is_payment and amount < SMALL_MINOR
                pair[4] += amount
                pair[5] = fields.get("network", 0) if name == "ip" else 0
        if is_payment:
            for name, parent in (("merchant", fields.get("category", 0)), ("bin", 0), ("email_domain", 0)):
                if fields.get(name, 0):
                    volume = (name, fields[name], parent, fields["time_ms"] // 86_400_000)
                    self.volumes[volume] = self.volumes.get(volume, 0) + 1

    def close(self, offset: int, time_ms: int, is_second: bool, is_hour: bool) -> None:
        links, marks = (self.links, self.marks) if is_second else ({}, [])
        volumes = self.volumes if is_hour else {}
        if links or marks or volumes:
            self.flushes.append(
                {
                    "number": self.number,
                    "end": offset,
                    "time_ms": time_ms,
                    "links": {(*pair, *found) for pair, found in links.items()},
                    "volumes": {(*volume, count) for volume, count in volumes.items()},
                    "marks": marks,
                }
            )
            self.number += 1
        if is_second:
            self.links, self.marks = {}, []
        if is_hour:
            self.volumes = {}


def hash_of(account: str) -> int:
    return int(keys_of([account]).hash[0])


def in_words(flushes: Flushes) -> list[dict[str, Any]]:
    """Flushes as `Naive` says them."""
    accounts = {hash_of(f"a{number}"): f"a{number}" for number in range(5)}
    words = [
        {
            "number": row["flush"],
            "end": row["end"],
            "time_ms": row["time_ms"],
            "links": set(),
            "volumes": set(),
            "marks": [],
        }
        for row in as_rows(flushes.flushes)
    ]
    by_number = {one["number"]: one for one in words}
    for row in as_rows(flushes.links):
        by_number[row["flush"]]["links"].add(
            (row["account"], row["entity"], ENTITY_KINDS[row["kind"]], row["time_ms"], row["payments"], row["declined"],
             row["small"], row["amount_minor"], row["network"])
        )  # fmt: skip
    for row in as_rows(flushes.volumes):
        by_number[row["flush"]]["volumes"].add(
            (ENTITY_KINDS[row["kind"]], row["entity"], row["parent"], row["day"], row["payments"])
        )
    for row in as_rows(flushes.marks):
        by_number[row["flush"]]["marks"].append(
            (accounts[row["account"]], row["event"], row["label"], row["known_at_ms"], row["event_time_ms"],
             row["fraud"], *(row[name] for name in MARKED))
        )  # fmt: skip
    assert sum(len(one["links"]) for one in words) == len(flushes.links), "a pair has one row in a flush"
    assert sum(len(one["volumes"]) for one in words) == len(flushes.volumes), "an entity has one row in a flush and day"
    return words


def as_rows(table: Any) -> list[dict[str, Any]]:
    return [dict(zip(table.dtype.names, row, strict=True)) for row in table.tolist()]


def collected(log: Sequence[Row], cuts: Sequence[int], restart: bool = False) -> tuple[Flushes, bytes]:
    """Flushes of a log that is cut into segments, and what waits at the end."""
    accounts, collector = Accounts(), LinkCollector(FEATURES)
    parts = [NO_FLUSHES]
    for start, end in zip([0, *cuts], [*cuts, len(log)], strict=True):
        rows = log[start:end]
        if restart:
            again = LinkCollector(FEATURES)
            again.restore(collector.state())
            collector = again
        if not rows:
            continue
        events = np.concatenate([record_of(offset=row.offset, **row.fields) for row in rows])
        keys, judged = keys_of([row.account for row in rows]), np.array([row.judged for row in rows], dtype=np.uint64)
        closed = collector.add(keys.hash, events, judged, accounts.apply(keys, events, judged))
        if closed is not None:
            assert len(closed.flushes)
            parts.append(closed)
    return joined(parts), collector.state()


def naive(log: Sequence[Row]) -> list[dict[str, Any]]:
    answer = Naive()
    for row in log:
        answer.add(row)
    return answer.flushes


@pytest.mark.parametrize("seed", range(12))
def test_flushes_are_what_the_obvious_answer_says(seed: int) -> None:
    log = draw_log(seed)
    flushes, _ = collected(log, [40, 41, 90])
    assert in_words(flushes) == naive(log)
    assert all(map(len, flushes))


def test_the_comparison_has_two_sides() -> None:
    log = draw_log(1)
    changed = [row for row in log if row.fields.get("device") != 71]
    assert in_words(collected(log, [])[0]) != naive(changed)


@given(st.integers(0, 50), st.lists(st.integers(0, 120), max_size=20).map(sorted), st.booleans())
def test_neither_cuts_nor_restarts_show(seed: int, cuts: list[int], restart: bool) -> None:
    log = draw_log(seed)
    whole, whole_state = collected(log, [])
    parts, parts_state = collected(log, cuts, restart)
    assert flushes_json(3, parts) == flushes_json(3, whole)
    assert parts_state == whole_state


@pytest.mark.parametrize("seed", range(4))
def test_a_record_says_the_flushes_and_their_partition(seed: int) -> None:
    flushes, _ = collected(draw_log(seed), [])
    partition, same = flushes_of(flushes_json(3, flushes))
    assert partition == 3
    for table, again in zip(flushes, same, strict=True):
        assert table.dtype == again.dtype
        assert table.tolist() == again.tolist()


@pytest.mark.parametrize(
    "value",
    [
        b"{}",
        b"[",
        b'{"partition":0,"flushes":{"flush":[0],"end":[1]},"schema":1}',
        b'{"partition":0,"flushes":{"flush":[0],"end":[1],"time_ms":[]},"schema":1}',
        b'{"partition":0,"flushes":{"flush":[0],"end":[1],"time_ms":[1]},"schema":2}',
    ],
)
def test_what_is_no_flush_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError):
        flushes_of(value)


def test_numbers_are_counted_by_one() -> None:
    flushes, _ = collected(draw_log(3, 400), [100, 200])
    assert flushes.flushes["flush"].tolist() == list(range(len(flushes.flushes)))


def test_a_clock_that_is_ahead_does_not_hold_links_back() -> None:
    """After an event of the future the clock stands still; links go by offsets meanwhile."""
    ahead = Row("a0", 0, {"event_hash": 1, "kind": PAYMENT, "time_ms": START_MS + 300_000, "device": 71})
    rows = [
        Row("a1", offset, {"event_hash": offset + 1, "kind": LOGIN, "time_ms": START_MS + offset, "device": offset})
        for offset in range(1, 2 * BLOCK + 2)
    ]
    flushes, _ = collected([ahead, *rows], [])
    assert in_words(flushes) == naive([ahead, *rows])
    assert flushes.flushes["end"].tolist() == [BLOCK, 2 * BLOCK]
    assert len(flushes.links) == 2 * BLOCK


def test_names_that_somebody_makes_up_do_not_wait_for_the_hour() -> None:
    """Most of them are new, some come again, and all within a second."""
    source = random.Random(1)
    log = [
        Row(
            f"a{number % 5}",
            number,
            {
                "event_hash": number + 1,
                "kind": PAYMENT,
                "time_ms": START_MS,
                "merchant": source.randrange(1, 9_000),
                "bin": source.randrange(1, 2 * MOST_VOLUMES),
            },
        )
        for number in range(2 * MOST_VOLUMES)
    ]
    later = {"event_hash": len(log) + 1, "kind": LOGIN, "time_ms": START_MS + 3_600_000}
    log.append(Row("a0", len(log), later))
    flushes, _ = collected(log, [10_000, 15_000], restart=True)
    assert in_words(flushes) == naive(log)
    assert len(flushes.volumes) > 2 * MOST_VOLUMES


def test_offsets_have_to_rise() -> None:
    row = Row("a0", 5, {"event_hash": 1, "kind": PAYMENT, "time_ms": START_MS})
    with pytest.raises(AssertionError, match="offsets rise"):
        collected([row, row._replace(account="a1")], [])
    with pytest.raises(AssertionError, match="offsets rise"):
        collected([row, row._replace(account="a1")], [1])


def test_a_marker_moves_the_clock() -> None:
    collector, accounts = LinkCollector(FEATURES), Accounts()
    events = record_of(offset=0, event_hash=1, kind=LOGIN, time_ms=START_MS, device=71)
    keys, judged = keys_of(["a0"]), np.zeros(1, dtype=np.uint64)
    assert collector.add(keys.hash, events, judged, accounts.apply(keys, events, judged)) is None
    assert collector.tick(START_MS + 1, 1) is None
    closed = collector.tick(START_MS + 1_000, 2)
    assert closed is not None
    assert (closed.flushes.tolist(), len(closed.links)) == ([(0, 2, START_MS + 1)], 1)
    assert collector.tick(START_MS + 2_000, 3) is None


def test_nothing_closes_on_an_empty_segment() -> None:
    assert not any(map(len, collected([], [])[0]))
