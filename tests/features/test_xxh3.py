"""The hash of the kernels against the library's."""

import random

import numpy as np
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from features.words import bytes_of
from features.xxh3 import xxh3_64

AROUND_A_BRANCH = [*range(35), *range(60, 70), *range(94, 132), *range(236, 260), *range(1020, 1100), 2048, 2049, 9999]


def test_every_length_that_a_branch_distinguishes() -> None:
    chance = random.Random(1)
    for length in AROUND_A_BRANCH:
        text = chance.randbytes(length + 8)
        for start in (0, 3, 8):
            expected = xxhash.xxh3_64_intdigest(text[start : start + length])
            assert int(xxh3_64(bytes_of(text), start, length)) == expected, (length, start)


@given(st.binary(max_size=2_000))
def test_any_bytes(text: bytes) -> None:
    assert int(xxh3_64(bytes_of(text or b"\0"), 0, len(text))) == xxhash.xxh3_64_intdigest(text)


def test_the_comparison_has_two_sides() -> None:
    text = bytes(range(64))
    assert int(xxh3_64(bytes_of(text), 0, 63)) != xxhash.xxh3_64_intdigest(text)
    assert isinstance(xxh3_64(bytes_of(text), 0, 64), int | np.uint64)
