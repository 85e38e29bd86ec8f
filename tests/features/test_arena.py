"""What hot accounts lie in: blocks without holes, summaries without holes, and the order of use."""

import random
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.account_kernels import ACCOUNT
from features.arena import Arena, give_block_back, size_place, take_block
from features.folded import empty_folded
from features.recency import NEWEST, OLDEST, empty_ends, link_as_newest, unlink, use
from features.summaries import SUMMARY_BYTES, Summaries, give_summary_back, take_summary

SIZES = (2, 4, 12)
PAGE = 12
HOLDERS = 30


class Tenants:
    """Holders of blocks, each of which has written its own number into its block."""

    def __init__(self) -> None:
        self.arena = Arena(np.dtype(np.int64), SIZES, PAGE, 1)
        self.starts = np.zeros(HOLDERS, dtype=np.int64)
        self.places: dict[int, int] = {}

    def come(self, holder: int, place: int) -> None:
        start = take_block(self.arena.blocks, holder, place)
        while start < 0:
            self.arena.lengthen()
            start = take_block(self.arena.blocks, holder, place)
        self.starts[holder] = start
        self.places[holder] = place
        self.arena.blocks.units[start : start + SIZES[place]] = holder + 1

    def go(self, holder: int) -> None:
        give_block_back(self.arena.blocks, self.starts, int(self.starts[holder]), self.places.pop(holder))

    def check(self) -> None:
        blocks = self.arena.blocks
        taken: set[int] = set()
        for holder, place in self.places.items():
            block = range(int(self.starts[holder]), int(self.starts[holder]) + SIZES[place])
            assert blocks.units[block.start : block.stop].tolist() == [holder + 1] * SIZES[place]
            assert not taken & set(block), "no unit belongs to two"
            taken |= set(block)
        assert self.arena.used_bytes == len(taken) * 8
        in_use = sum(-(-count * size // PAGE) for count, size in zip(blocks.counts[:-1], SIZES, strict=True))
        assert blocks.counts[-1] == len(blocks.pages) - in_use, "only the last page of each size may be part empty"


@settings(deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, HOLDERS - 1), st.integers(0, len(SIZES) - 1)), max_size=60))
def test_blocks_come_and_go_without_holes(steps: list[tuple[int, int]]) -> None:
    tenants = Tenants()
    for holder, place in steps:
        if holder in tenants.places:
            tenants.go(holder)
        else:
            tenants.come(holder, place)
        tenants.check()


def test_memory_of_large_blocks_serves_small_ones() -> None:
    tenants = Tenants()
    for holder in range(5):
        tenants.come(holder, 2)
    held = tenants.arena.nbytes
    for holder in range(5):
        tenants.go(holder)
    for holder in range(30):
        tenants.come(holder, 0)
    tenants.check()
    assert tenants.arena.nbytes == held


def test_the_check_would_see_a_block_that_moved_unnoticed() -> None:
    tenants = Tenants()
    for holder in range(3):
        tenants.come(holder, 0)
    noticed = tenants.starts.copy()
    tenants.go(0)
    tenants.starts[:] = noticed
    tenants.come(3, 0)
    with pytest.raises(AssertionError):
        tenants.check()


@pytest.mark.parametrize(("units", "size"), [(0, 2), (2, 2), (3, 4), (5, 12), (12, 12), (13, 12)])
def test_the_smallest_size_that_holds_it_or_the_largest(units: int, size: int) -> None:
    assert SIZES[size_place(np.array(SIZES), units)] == size


@settings(deadline=None, max_examples=20)
@given(steps=st.lists(st.integers(0, 24), min_size=10, max_size=80))
def test_summaries_come_and_go_without_holes(steps: list[int]) -> None:
    """A holder comes or goes; each has its own number in the first and the last field of its summary."""
    summaries = Summaries()
    accounts = np.zeros(25, dtype=ACCOUNT)
    there: set[int] = set()
    for holder in steps:
        if holder in there:
            there.remove(holder)
            give_summary_back(summaries.held, accounts, int(accounts[holder]["folded"]))
            summaries.shorten()
        else:
            there.add(holder)
            if summaries.is_full:
                summaries.lengthen()
            index = take_summary(summaries.held, holder)
            accounts[holder]["folded"] = index
            for array, empty in zip(summaries.held.folded, empty_folded(1), strict=True):
                assert array[index].tobytes() == empty[0].tobytes()
            summaries.held.folded.summaries[index]["until_ms"] = holder
            summaries.held.folded.tiles[index, -1]["payments"] = holder
        for one in there:
            index = accounts[one]["folded"]
            assert summaries.held.folded.summaries[index]["until_ms"] == one
            assert summaries.held.folded.tiles[index, -1]["payments"] == one
        assert summaries.used_bytes == len(there) * SUMMARY_BYTES


def test_a_full_house_of_summaries_says_so_and_an_empty_one_gives_memory_back() -> None:
    summaries = Summaries()
    accounts = np.zeros(100, dtype=ACCOUNT)
    least = summaries.nbytes
    for holder in range(100):
        if take_summary(summaries.held, holder) < 0:
            summaries.lengthen()
            assert take_summary(summaries.held, holder) == holder
        accounts[holder]["folded"] = holder
    most = summaries.nbytes
    for holder in range(99):
        give_summary_back(summaries.held, accounts, int(accounts[holder]["folded"]))
    summaries.shorten()
    assert accounts[99]["folded"] == 0
    assert least < summaries.nbytes < most // 2


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_use_is_that_of_an_ordered_dict(seed: int) -> None:
    chance = random.Random(seed)
    accounts, ends = np.zeros(20, dtype=ACCOUNT), empty_ends()
    expected: OrderedDict[int, None] = OrderedDict()
    for _ in range(400):
        slot = chance.randrange(20)
        if slot not in expected:
            link_as_newest(accounts, ends, slot)
        elif chance.random() < 0.3:
            unlink(accounts, ends, slot)
            del expected[slot]
            continue
        else:
            use(accounts, ends, slot)
            del expected[slot]
        expected[slot] = None
        assert in_order(accounts, int(ends[OLDEST]), "newer") == list(expected)
        assert in_order(accounts, int(ends[NEWEST]), "older") == list(expected)[::-1]


def in_order(accounts: np.ndarray, slot: int, link: str) -> list[int]:
    found = []
    while slot >= 0:
        found.append(slot)
        slot = int(accounts[slot][link])
    return found
