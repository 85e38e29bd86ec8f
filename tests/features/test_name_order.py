"""The order of ids against Python's order of bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.name_order import rows_by_name


def in_order(names: list[bytes]) -> list[bytes]:
    ends = np.cumsum([len(name) for name in names], dtype=np.int64)
    return [names[row] for row in rows_by_name(np.frombuffer(b"".join(names), dtype=np.uint8), ends)]


alike = st.builds(
    bytes.__add__, st.sampled_from([b"", b"account-00000", b"\xff" * 9, b"\0" * 9]), st.binary(max_size=3)
)


@given(st.lists(st.one_of(alike, st.binary(max_size=20)), unique=True))
def test_ids_are_in_the_order_of_their_bytes(names: list[bytes]) -> None:
    assert in_order(names) == sorted(names)


@pytest.mark.parametrize("prefix", [b"", b"a-long-common-beginning-", b"\0\0"])
def test_many_ids_with_one_beginning(prefix: bytes) -> None:
    numbers = np.random.default_rng(1).permutation(3_000).tolist()
    names = [prefix + b"%d" % number + b"-a-long-common-end" * (number % 2) for number in numbers]
    assert in_order(names) == sorted(names)


def test_an_id_that_begins_another_comes_first_whatever_follows() -> None:
    names = [b"abcdefgh\0\0", b"abcdefgh\0", b"abcdefgh", b"abcdefg", b"abcdefg\0"]
    assert in_order(names) == [b"abcdefg", b"abcdefg\0", b"abcdefgh", b"abcdefgh\0", b"abcdefgh\0\0"]
