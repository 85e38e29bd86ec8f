"""The members of a record in its plain form: which the contract knows, and whether each keeps its rule."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.card_number import DIGITS_AND_SEPARATORS
from features.compiled import compiled
from features.plain_grammar import BOOLEAN, DIGITS, INTEGER, REAL, SESSION, TEXT, TOP, WORD, build_grammar
from features.plain_scan import FALSE, FRACTION, NESTED, NULL, STRING, TRUE, WHOLE, after_blanks, scan_member
from features.plain_words import find_word

MOST_MEMBERS = 64
"""A record with more is not plain."""
_LARGEST_EXACT = 2**53
_POWERS = np.array([10.0**power for power in range(19)])
_OPEN, _CLOSE, _COMMA = (np.uint8(ord(sign)) for sign in "{},")
_CARD_SIGN = np.array([chr(at) in DIGITS_AND_SEPARATORS for at in range(256)])
_CARD_RUN = 13
_ONE = np.uint64(1)

GRAMMAR = build_grammar()
"""The tables of the contract."""
# As constants of the machine code: arguments would be counted in every call.
_SLOTS, _WORDS, _TEXTS = GRAMMAR.slots, GRAMMAR.words, GRAMMAR.texts
_RULES, _SESSION_RULE_OF, _SESSION_FIELD = GRAMMAR.rules, GRAMMAR.session_rule_of, GRAMMAR.session_field


@compiled
def exact(member: Any) -> Any:
    """The number of a member as the nearest float64; NaN where that needs more than one division."""
    if abs(member["digits"]) > _LARGEST_EXACT:
        return np.nan
    return float(member["digits"]) / _POWERS[member["scale"]]


@compiled
def _may_hold_card_number(data: NDArray[np.uint8], start: int, length: int) -> bool:
    """Whether so many digits and separators stand in a row; each stretch is looked at from its end, so most once."""
    end = start + length
    while start + _CARD_RUN <= end:
        place = start + _CARD_RUN - 1
        while place >= start and _CARD_SIGN[data[place]]:
            place -= 1
        if place < start:
            return True
        start = place + 1
    return False


@compiled
def keeps(rule: Any, data: NDArray[np.uint8], member: Any) -> Any:
    """Whether a value that is not null is what its rule asks for; the column's number of a word goes to `digits`."""
    form, what = rule["form"], member["what"]
    if form in (TEXT, DIGITS):
        if what != STRING or not rule["least"] <= member["length"] <= rule["most"]:
            return False
        if form == DIGITS:
            number = np.int64(0)
            for place in range(member["start"], member["start"] + member["length"]):
                digit = np.int64(data[place]) - 48
                if not 0 <= digit <= 9:
                    return False
                number = number * 10 + digit
            member["digits"] = number
        return not (rule["no_card_number"] and _may_hold_card_number(data, member["start"], member["length"]))
    if form == WORD:
        if what != STRING:
            return False
        word = word_of(rule["words"], data, member["start"], member["length"])
        if word < 0:
            return False
        member["digits"] = _WORDS[word]["value"]
        return True
    if form == INTEGER:
        return what == WHOLE and rule["least"] <= member["digits"] <= rule["most"]
    if form == REAL:
        return what in (WHOLE, FRACTION) and rule["least_real"] <= exact(member) <= rule["most_real"]
    if form == BOOLEAN:
        return what in (TRUE, FALSE)
    return what == NESTED  # an OBJECT; its members were checked when they were read


@compiled
def word_of(number: int, data: NDArray[np.uint8], start: int, length: int) -> int:
    """Which word of list `number` a stretch of the data is, -1 if none."""
    return find_word(_SLOTS, _WORDS, _TEXTS, number, data, start, length)


@compiled
def _behind_session(data: NDArray[np.uint8], place: int, end: int, member: Any) -> int:
    """The place behind the session that opens at `place`, if it is plain and keeps its rules, else -1."""
    place = after_blanks(data, place + 1, end)
    if place < end and data[place] == _CLOSE:
        return place + 1
    while True:
        place = scan_member(data, place, end, member)
        if place < 0 or member["what"] == NESTED:
            return -1
        word = word_of(SESSION, data, member["name_start"], member["name_length"])
        if word >= 0 and member["what"] != NULL:
            rule = _RULES[_SESSION_RULE_OF[_WORDS[word]["value"]]]
            if not keeps(rule, data, member):
                return -1
        place = after_blanks(data, place, end)
        if place >= end:
            return -1
        if data[place] == _CLOSE:
            return place + 1
        if data[place] != _COMMA:
            return -1
        place = after_blanks(data, place + 1, end)


@compiled
def read_members(data: NDArray[np.uint8], start: int, end: int, members: Any, fields: NDArray[np.int64]) -> int:
    """Read all members of the record at `start`; how many the contract knows, with their numbers in `fields`, or -1."""
    place = after_blanks(data, start, end)
    if place >= end or data[place] != _OPEN:
        return -1
    place = after_blanks(data, place + 1, end)
    count = 0
    seen = np.uint64(0)
    nested = members[MOST_MEMBERS]
    while True:
        member = members[count]
        place = scan_member(data, place, end, member)
        if place < 0:
            return -1
        word = word_of(TOP, data, member["name_start"], member["name_length"])
        field = _WORDS[word]["value"] if word >= 0 else -1
        if member["what"] == NESTED:
            if field != _SESSION_FIELD:
                return -1
            place = _behind_session(data, place, end, nested)
            if place < 0:
                return -1
        if field >= 0:
            bit = _ONE << np.uint64(field)
            if seen & bit:
                return -1  # twice: `decode` knows which one counts
            seen |= bit
            fields[count] = field
            count += 1
            if count == MOST_MEMBERS:
                return -1
        place = after_blanks(data, place, end)
        if place >= end:
            return -1
        if data[place] == _CLOSE:
            return count if after_blanks(data, place + 1, end) == end else -1
        if data[place] != _COMMA:
            return -1
        place = after_blanks(data, place + 1, end)
