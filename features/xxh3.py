"""The 64-bit xxh3 hash inside kernels: the same number as ``xxhash.xxh3_64_intdigest``, without a call for each text.

Source: the XXH3 specification (xxHash 0.8, seed 0, default secret). `tests/features/test_xxh3.py` compares it with the
library at every length that its branches distinguish.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from features.words import folded_product, word_at

_SECRET = np.frombuffer(
    bytes.fromhex(
        "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
        "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
        "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
        "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
    ),
    dtype=np.uint8,
)
_PRIME_32_1 = np.uint64(0x9E3779B1)
_PRIME_64_1 = np.uint64(0x9E3779B185EBCA87)
_PRIME_64_2 = np.uint64(0xC2B2AE3D27D4EB4F)
_PRIME_64_3 = np.uint64(0x165667B19E3779F9)
_AVALANCHE = np.uint64(0x165667919E3779F9)
_RRMXMX = np.uint64(0x9FB21C651E98DF25)
_LANES = np.array(
    [
        0xC2B2AE3D,
        0x9E3779B185EBCA87,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0x85EBCA77C2B2AE63,
        0x85EBCA77,
        0x27D4EB2F165667C5,
        0x9E3779B1,
    ],
    dtype=np.uint64,
)
_LOW_32 = np.uint64(0xFFFFFFFF)
_STRIPE_BYTES = 64
_STRIPES_PER_BLOCK = 16
_LAST_SECRET = 192 - _STRIPE_BYTES


@compiled
def xxh3_64(data: NDArray[np.uint8], start: int, length: int) -> Any:
    """uint64: hash of the `length` bytes of `data` from `start` on, which are not checked to be there."""
    if length <= 16:
        return _up_to_16(data, start, length)
    if length <= 128:
        return _up_to_128(data, start, length)
    if length <= 240:
        return _up_to_240(data, start, length)
    return _longer(data, start, length)


@compiled
def _avalanche(word: Any) -> Any:
    word ^= word >> np.uint64(37)
    word *= _AVALANCHE
    return word ^ (word >> np.uint64(32))


@compiled
def _avalanche_64(word: Any) -> Any:
    word ^= word >> np.uint64(33)
    word *= _PRIME_64_2
    word ^= word >> np.uint64(29)
    word *= _PRIME_64_3
    return word ^ (word >> np.uint64(32))


@compiled
def _rotated(word: Any, bits: int) -> Any:
    return (word << np.uint64(bits)) | (word >> np.uint64(64 - bits))


@compiled
def _bytes_swapped(word: Any) -> Any:
    swapped = np.uint64(0)
    for _ in range(8):
        swapped = (swapped << np.uint64(8)) | (word & np.uint64(0xFF))
        word >>= np.uint64(8)
    return swapped


@compiled
def _half_word_at(data: NDArray[np.uint8], place: int) -> Any:
    return (
        np.uint64(data[place])
        | np.uint64(data[place + 1]) << np.uint64(8)
        | np.uint64(data[place + 2]) << np.uint64(16)
        | np.uint64(data[place + 3]) << np.uint64(24)
    )


@compiled
def _up_to_16(data: NDArray[np.uint8], start: int, length: int) -> Any:
    size = np.uint64(length)
    if length > 8:
        low = word_at(data, start) ^ (word_at(_SECRET, 24) ^ word_at(_SECRET, 32))
        high = word_at(data, start + length - 8) ^ (word_at(_SECRET, 40) ^ word_at(_SECRET, 48))
        return _avalanche(size + _bytes_swapped(low) + high + folded_product(low, high))
    if length >= 4:
        first, last = _half_word_at(data, start), _half_word_at(data, start + length - 4)
        word = (last + (first << np.uint64(32))) ^ (word_at(_SECRET, 8) ^ word_at(_SECRET, 16))
        word ^= _rotated(word, 49) ^ _rotated(word, 24)
        word *= _RRMXMX
        word ^= (word >> np.uint64(35)) + size
        word *= _RRMXMX
        return word ^ (word >> np.uint64(28))
    if length > 0:
        first, middle, last = data[start], data[start + (length >> 1)], data[start + length - 1]
        combined = np.uint64(first) << np.uint64(16) | np.uint64(middle) << np.uint64(24) | np.uint64(last)
        combined |= size << np.uint64(8)
        return _avalanche_64(combined ^ (_half_word_at(_SECRET, 0) ^ _half_word_at(_SECRET, 4)))
    return _avalanche_64(word_at(_SECRET, 56) ^ word_at(_SECRET, 64))


@compiled
def _mixed(data: NDArray[np.uint8], place: int, secret: int) -> Any:
    return folded_product(
        word_at(data, place) ^ word_at(_SECRET, secret), word_at(data, place + 8) ^ word_at(_SECRET, secret + 8)
    )


@compiled
def _up_to_128(data: NDArray[np.uint8], start: int, length: int) -> Any:
    end = start + length
    sum_of = np.uint64(length) * _PRIME_64_1
    for pair in range((length - 1) // 32, -1, -1):
        sum_of += _mixed(data, start + 16 * pair, 32 * pair)
        sum_of += _mixed(data, end - 16 * (pair + 1), 32 * pair + 16)
    return _avalanche(sum_of)


@compiled
def _up_to_240(data: NDArray[np.uint8], start: int, length: int) -> Any:
    sum_of = np.uint64(length) * _PRIME_64_1
    for place in range(8):
        sum_of += _mixed(data, start + 16 * place, 16 * place)
    sum_of = _avalanche(sum_of)
    for place in range(8, length // 16):
        sum_of += _mixed(data, start + 16 * place, 16 * (place - 8) + 3)
    return _avalanche(sum_of + _mixed(data, start + length - 16, 136 - 17))


@compiled
def _accumulate(lanes: NDArray[np.uint64], data: NDArray[np.uint8], place: int, secret: int) -> None:
    for lane in range(8):
        word = word_at(data, place + 8 * lane)
        keyed = word ^ word_at(_SECRET, secret + 8 * lane)
        lanes[lane ^ 1] += word
        lanes[lane] += (keyed & _LOW_32) * (keyed >> np.uint64(32))


@compiled
def _longer(data: NDArray[np.uint8], start: int, length: int) -> Any:
    lanes = _LANES.copy()
    stripes = (length - 1) // _STRIPE_BYTES
    for stripe in range(stripes):
        in_block = stripe % _STRIPES_PER_BLOCK
        _accumulate(lanes, data, start + _STRIPE_BYTES * stripe, 8 * in_block)
        if in_block == _STRIPES_PER_BLOCK - 1:
            for lane in range(8):
                word = lanes[lane] ^ (lanes[lane] >> np.uint64(47))
                lanes[lane] = (word ^ word_at(_SECRET, _LAST_SECRET + 8 * lane)) * _PRIME_32_1
    _accumulate(lanes, data, start + length - _STRIPE_BYTES, _LAST_SECRET - 7)
    merged = np.uint64(length) * _PRIME_64_1
    for pair in range(4):
        secret = 11 + 16 * pair
        merged += folded_product(
            lanes[2 * pair] ^ word_at(_SECRET, secret), lanes[2 * pair + 1] ^ word_at(_SECRET, secret + 8)
        )
    return _avalanche(merged)
