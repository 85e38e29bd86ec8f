"""One member of a flat JSON object: where its name and its value are, in the plain subset of JSON.

Plain are strings of printable ASCII without escapes, decimal numbers of at most 18 digits without an exponent, true,
false and null. Whatever else a producer may rightly write is not understood here, and is left to `features.decode`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.compiled import compiled
from features.words import lowest_bit, same_bytes, strange_signs

NOT_PLAIN = -1
MOST_DIGITS = 18
"""Any number of so many digits fits into an int64."""

# What a value is.
STRING, WHOLE, FRACTION, TRUE, FALSE, NULL, NESTED = range(7)

MEMBER = np.dtype(
    [
        ("name_start", np.int64),
        ("name_length", np.int64),
        ("what", np.int64),  # STRING, WHOLE, ...
        ("start", np.int64),  # of a string, without its quotes
        ("length", np.int64),
        ("digits", np.int64),  # of a number: all its digits as one whole number, with its sign
        ("scale", np.int64),  # how many of them stand behind the point
    ]
)

_QUOTE, _COLON, _MINUS, _POINT, _OPEN = (np.uint8(ord(sign)) for sign in '":-.{')
_ZERO, _NINE = np.uint8(ord("0")), np.uint8(ord("9"))
_BLANK = np.array([at in b" \t\n\r" for at in range(256)])


@compiled
def after_blanks(data: NDArray[np.uint8], place: int, end: int) -> int:
    """The first place from `place` on that holds no white space; `end` if there is none."""
    while place < end and _BLANK[data[place]]:
        place += 1
    return place


@compiled
def _string_end(data: NDArray[np.uint8], place: int, end: int) -> int:
    """Where the closing quote of the string is that begins at `place`, behind its quote.

    Looks at 32 bytes at a time, so that the length of a usual string decides nothing that the processor would have to
    guess; `SLACK_BYTES` behind `end` are there to be read.
    """
    while place < end:
        strange = strange_signs(data, place)
        if strange:
            place += lowest_bit(strange)
            return place if place < end and data[place] == _QUOTE else NOT_PLAIN
        place += 32
    return NOT_PLAIN


@compiled
def _is_word(data: NDArray[np.uint8], place: int, end: int, word: NDArray[np.uint8]) -> bool:
    return place + len(word) <= end and same_bytes(data, place, word, 0, len(word))


_TRUE, _FALSE, _NULL = (np.frombuffer(word, dtype=np.uint8) for word in (b"true", b"false", b"null"))


@compiled
def _scan_number(data: NDArray[np.uint8], place: int, end: int, member: Any) -> int:
    negative = data[place] == _MINUS
    if negative:
        place += 1
    first = place
    number = np.int64(0)
    while place < end and _ZERO <= data[place] <= _NINE:
        number = number * 10 + np.int64(data[place] - _ZERO)
        place += 1
        if place - first > MOST_DIGITS:
            return NOT_PLAIN
    digits = place - first
    if digits == 0 or (digits > 1 and data[first] == _ZERO):
        return NOT_PLAIN
    scale = 0
    if place < end and data[place] == _POINT:
        place += 1
        while place < end and _ZERO <= data[place] <= _NINE:
            number = number * 10 + np.int64(data[place] - _ZERO)
            place += 1
            scale += 1
            if digits + scale > MOST_DIGITS:
                return NOT_PLAIN
        if scale == 0:
            return NOT_PLAIN
        member["what"] = FRACTION
    else:
        member["what"] = WHOLE
    if negative and number == 0:
        return NOT_PLAIN  # minus zero is a number of its own
    member["digits"] = -number if negative else number
    member["scale"] = scale
    return place


@compiled
def scan_member(data: NDArray[np.uint8], place: int, end: int, member: Any) -> int:
    """Read a name, a colon and a value from `place` on into `member`, a `MEMBER`.

    Returns the place behind the value, `NOT_PLAIN` if it is not plain or not JSON. Of a NESTED object, that of its
    opening brace.
    """
    if place >= end or data[place] != _QUOTE:
        return NOT_PLAIN
    start = place + 1
    place = _string_end(data, start, end)
    if place < 0:
        return NOT_PLAIN
    member["name_start"] = start
    member["name_length"] = place - start
    place = after_blanks(data, place + 1, end)
    if place >= end or data[place] != _COLON:
        return NOT_PLAIN
    place = after_blanks(data, place + 1, end)
    if place >= end:
        return NOT_PLAIN
    sign = data[place]
    if sign == _QUOTE:
        start = place + 1
        place = _string_end(data, start, end)
        member["what"] = STRING
        member["start"] = start
        member["length"] = place - start
        return place + 1 if place >= 0 else NOT_PLAIN
    if sign == _MINUS or _ZERO <= sign <= _NINE:
        return _scan_number(data, place, end, member)
    if sign == _OPEN:
        member["what"] = NESTED
        return place
    if _is_word(data, place, end, _TRUE):
        member["what"] = TRUE
        return place + 4
    if _is_word(data, place, end, _FALSE):
        member["what"] = FALSE
        return place + 5
    if _is_word(data, place, end, _NULL):
        member["what"] = NULL
        return place + 4
    return NOT_PLAIN
