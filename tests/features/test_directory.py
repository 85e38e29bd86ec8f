"""The directory against a dict: ids that share a hash, ids that come and go, ids of any length."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.account_kernels import pack_names
from features.directory import NAME_BLOCKS, Directory, remove_name
from features.identity import hash64
from features.keys import Keys, keys_of

NAMES = ("", "a", "a1", "a2", "ü", "ünlü", "b" * 15, "b" * 16, "b" * 17, "c" * 40, "c" * 41, "\U0001f600" * 64)
HASHES: dict[str, Callable[[str], int]] = {
    "real": hash64,
    "one": lambda _: 5,
    "last place": lambda _: 2**64 - 1,
    "few": lambda name: hash64(name) % 3 << 62 | 1,
    "equal upper halves": lambda name: hash64(name) & 0xFFFFFFFF,
}


def keys_with(names: list[str], hash_of: Callable[[str], int]) -> Keys:
    """Identifiers with hashes of the test's choice."""
    return keys_of(names)._replace(hash=np.array([hash_of(name) for name in names], dtype=np.uint64))


class Both:
    """A directory and the dict that it has to agree with."""

    def __init__(self, hash_of: Callable[[str], int]) -> None:
        self.directory = Directory(1)
        self.expected: dict[str, int] = {}
        self._hash_of = hash_of

    def add(self, names: list[str]) -> None:
        keys = keys_with(names, self._hash_of)
        rows = self.directory.missing(keys)
        new = list(dict.fromkeys(name for name in names if name not in self.expected))
        assert [names[row] for row in rows] == new
        assert rows.tolist() == [names.index(name) for name in new]
        slots = self.directory.add(keys, rows).tolist()
        assert not set(slots) & set(self.expected.values()), "a slot is given to one at a time"
        self.expected |= dict(zip(new, slots, strict=True))

    def remove(self, name: str) -> None:
        if name in self.expected:
            before = self.directory.used_bytes
            freed = remove_name(self.directory.names, self.expected.pop(name))
            assert freed == next(size for size in NAME_BLOCKS if size >= len(name.encode()))
            assert self.directory.used_bytes < before

    def check(self, names: tuple[str, ...] = NAMES) -> None:
        found = self.directory.find(keys_with(list(names), self._hash_of)).tolist()
        assert found == [self.expected.get(name, -1) for name in names]
        assert len(self.directory) == len(self.expected)
        slots = np.array(list(self.expected.values()), dtype=np.int64)
        data, ends = pack_names(self.directory.names, slots)
        bounds = pairwise([0, *ends.tolist()])
        assert [data[start:end].tobytes().decode() for start, end in bounds] == list(self.expected)


changes = st.lists(st.one_of(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=6)), max_size=25)


@settings(deadline=None)
@given(steps=changes, hash_of=st.sampled_from(list(HASHES)))
def test_it_answers_like_a_dict_whatever_the_hashes(steps: list[str | list[str]], hash_of: str) -> None:
    """A list is added, a name alone is removed."""
    both = Both(HASHES[hash_of])
    for step in steps:
        if isinstance(step, list):
            both.add(step)
        else:
            both.remove(step)
        both.check()


def test_two_ids_with_one_hash_are_two_accounts() -> None:
    both = Both(lambda _: 7)
    both.add(["a1", "a2", "a1"])
    both.check()
    assert len(set(both.expected.values())) == 2
    both.remove("a1")
    both.check()


@pytest.mark.parametrize("hash_of", ["real", "few"])
def test_thousands_come_and_go(hash_of: str) -> None:
    both = Both(HASHES[hash_of])
    count = 3_000 if hash_of == "real" else 200
    names = tuple(f"account-{number:05d}" for number in range(count))
    for start in range(0, count, count // 4):
        both.add(list(names[start : start + count // 4]))
    both.check(names)
    for name in names[::3]:
        both.remove(name)
    both.check(names)
    held = both.directory.nbytes
    both.add(list(names))
    both.check(names)
    assert both.directory.nbytes == held


def test_the_check_would_see_a_wrong_answer() -> None:
    both = Both(hash64)
    both.add(["a1", "a2"])
    names = both.directory.names
    names.blocks.units[names.starts[both.expected["a1"]]] ^= 1
    with pytest.raises(AssertionError):
        both.check()


@pytest.mark.parametrize("names", [["a", "b", "b"], ["a", "held"]])
def test_nobody_is_entered_twice(names: list[str]) -> None:
    directory = Directory(8)
    directory.add(keys_of(["held"]), np.arange(1))
    with pytest.raises(AssertionError):
        directory.add(keys_of(names), np.arange(len(names)))


def test_an_id_longer_than_the_contract_allows_is_refused() -> None:
    with pytest.raises(AssertionError):
        Directory(8).add(keys_of(["x" * 257]), np.arange(1))
