"""Records in their plain form, a whole batch in one compiled call: bytes in, columns out.

Nearly every record is flat JSON in ASCII, and needs no string, object or call of Python on its way to its columns. This
reader takes those and nothing else. It refuses nothing: what it does not understand, or finds fault with, it leaves to
`features.decode`, which decides alone what is accepted and says why not. Its rules come from the contract's types
(`features.plain_grammar`); `tests/features/test_plain.py` holds it to `decode` on any input.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.columns import EVENT, FAILED, NO_SCORE, NOT_JUDGED, PAYMENT
from features.compiled import compiled
from features.email_domain import domain_at
from features.network import network_at
from features.plain_grammar import (
    ACCOUNT,
    AMOUNT,
    AUTHORIZATION,
    BENEFICIARY,
    BIN,
    CATEGORY,
    CHANNEL,
    COUNTRY,
    CURRENCY,
    DEVICE,
    EMAIL,
    EVENT_ID,
    IP,
    LATITUDE,
    LONGITUDE,
    MERCHANT,
    METHOD,
    SUCCESS,
    TIME,
    TYPE,
)
from features.plain_members import GRAMMAR, MOST_MEMBERS, exact, keeps, read_members, word_of
from features.plain_scan import FALSE, MEMBER, NULL, STRING
from features.words import same_bytes, uncounted
from features.xxh3 import xxh3_64

_CONTENT_MASK = np.uint64(0xFFFFFFFF)
_ONE = np.uint64(1)
# As constants of the machine code: arguments would be counted in every call.
_RULES, _RULE_OF, _REQUIRED = GRAMMAR.rules, GRAMMAR.rule_of, GRAMMAR.required
_KINDS, _WORDS = GRAMMAR.kinds, GRAMMAR.words


class Scratch(NamedTuple):
    """Working memory of `read_plain`."""

    members: NDArray[Any]
    """`MEMBER`[MOST_MEMBERS + 1]: those of a record, and one of its session."""
    fields: NDArray[np.int64]
    """int64[MOST_MEMBERS]: number of each of them."""


SPAN = np.dtype(
    [
        ("event_start", np.int64),  # where the text of `event_id` begins in the data, as JSON writes it
        ("event_length", np.int64),
        ("account_start", np.int64),  # where the bytes of `account_id` begin
        ("account_length", np.int64),
        ("account_text_start", np.int64),  # the same as JSON writes it: in a plain record no other text
        ("account_text_length", np.int64),
        ("account_hash", np.uint64),
        ("currency", np.uint8),  # `features.money.CURRENCY_CODES` of an amount, 0 where there is none
    ]
)
"""What a record says beside its columns. In one record of its own, because handing on an array for each of these from
step to step took longer than filling them."""


class Plain(NamedTuple):
    """What `read_plain` fills, a row per record."""

    is_plain: NDArray[np.bool_]
    """bool[n]: False where the record is left to `features.decode`; the row then means nothing."""
    events: NDArray[Any]
    """`EVENT`[n]; amounts are in their own currency."""
    spans: NDArray[Any]
    """`SPAN`[n]"""


def new_plain(rows: int) -> Plain:
    """Room for so many records."""
    return Plain(np.empty(rows, dtype=np.bool_), np.empty(rows, dtype=EVENT), np.zeros(rows, dtype=SPAN))


def new_scratch() -> Scratch:
    """Working memory."""
    return Scratch(np.empty(MOST_MEMBERS + 1, dtype=MEMBER), np.empty(MOST_MEMBERS, dtype=np.int64))


@compiled
def _kind_of(data: NDArray[np.uint8], members: Any, fields: NDArray[np.int64], count: int) -> int:
    for place in range(count):
        if fields[place] == TYPE:
            member = members[place]
            if member["what"] != STRING:
                return -1
            word = word_of(_KINDS, data, member["start"], member["length"])
            return int(_WORDS[word]["value"]) if word >= 0 else -1
    return -1


@compiled
def _clear(event: Any, offset: int) -> None:
    event["offset"] = offset
    event["time_ms"] = 0
    event["event_hash"] = 0
    event["amount_minor"] = 0
    event["merchant"] = 0
    event["device"] = 0
    event["ip"] = 0
    event["beneficiary"] = 0
    event["bin"] = 0
    event["network"] = 0
    event["email_domain"] = 0
    event["score_micro"] = NO_SCORE
    event["anomaly_micro"] = NO_SCORE
    event["latitude"] = np.nan
    event["longitude"] = np.nan
    event["country"] = 0
    event["category"] = 0
    event["marks"] = 0
    event["decision"] = NOT_JUDGED
    event["context"] = 0


@compiled
def _hash_of(data: NDArray[np.uint8], member: Any) -> Any:
    return max(xxh3_64(data, member["start"], member["length"]), _ONE)  # 0 stands for absent


@compiled
def _place(event: Any, span: Any, target: int, data: NDArray[np.uint8], member: Any) -> None:
    """Put one checked value where it goes."""
    if target == EVENT_ID:
        event["event_hash"] = _hash_of(data, member)
        span["event_start"] = member["start"]
        span["event_length"] = member["length"]
    elif target == ACCOUNT:
        span["account_hash"] = _hash_of(data, member)
        span["account_start"] = span["account_text_start"] = member["start"]
        span["account_length"] = span["account_text_length"] = member["length"]
    elif target == TIME:
        event["time_ms"] = member["digits"]
    elif target == AMOUNT:
        event["amount_minor"] = member["digits"]
    elif target == CURRENCY:
        span["currency"] = member["digits"]
    elif target == METHOD:
        event["context"] |= np.uint8(member["digits"])
    elif target == CHANNEL:
        event["context"] |= np.uint8(member["digits"] << 4)
    elif target == MERCHANT:
        event["merchant"] = _hash_of(data, member)
    elif target == DEVICE:
        event["device"] = _hash_of(data, member)
    elif target == IP:
        event["ip"] = _hash_of(data, member)
        event["network"] = network_at(data, member["start"], member["length"])
    elif target == BENEFICIARY:
        event["beneficiary"] = _hash_of(data, member)
    elif target == EMAIL:
        event["email_domain"] = domain_at(data, member["start"], member["length"])
    elif target == BIN:
        event["bin"] = member["digits"]
    elif target == CATEGORY:
        event["category"] = member["digits"]
    elif target == COUNTRY:
        event["country"] = member["digits"]
    elif target == LATITUDE:
        event["latitude"] = np.float32(exact(member))
    elif target == LONGITUDE:
        event["longitude"] = np.float32(exact(member))
    elif target == AUTHORIZATION:
        event["marks"] = member["digits"]
    elif target == SUCCESS and member["what"] == FALSE:
        event["marks"] = FAILED


@compiled
def _read_record(
    data: NDArray[np.uint8],
    start: int,
    length: int,
    members: Any,
    fields: NDArray[np.int64],
    event: Any,
    span: Any,
) -> bool:
    end = start + length
    count = read_members(data, start, end, members, fields)
    if count < 0:
        return False
    kind = _kind_of(data, members, fields, count)
    if kind < 0:
        return False
    event["kind"] = kind
    span["currency"] = 0
    present = np.uint64(0)
    has_amount = False
    for place in range(count):
        member, field = members[place], fields[place]
        index = _RULE_OF[kind, field]
        if index < 0:
            present |= _ONE << np.uint64(field)  # the type, or a member of another kind: ignored
            continue
        rule = _RULES[index]
        if member["what"] == NULL:
            if rule["required"]:
                return False
            continue
        if not keeps(rule, data, member):
            return False
        present |= _ONE << np.uint64(field)
        has_amount |= rule["target"] == AMOUNT
        _place(event, span, rule["target"], data, member)
    if present & _REQUIRED[kind] != _REQUIRED[kind]:
        return False
    if np.isnan(event["latitude"]) or np.isnan(event["longitude"]):  # half a position is none
        event["latitude"] = np.nan
        event["longitude"] = np.nan
    if kind != PAYMENT and not (has_amount and span["currency"]):
        event["amount_minor"] = 0
        span["currency"] = 0
    event["content_hash"] = np.uint32(xxh3_64(data, start, length) & _CONTENT_MASK)
    return True


@compiled
def _has_key(span: Any, data: NDArray[np.uint8], key_start: int, key_length: int) -> bool:
    if key_length != span["account_length"]:
        return False
    return same_bytes(data, span["account_start"], data, key_start, key_length)


@compiled
def read_plain(
    data: NDArray[np.uint8],
    start: NDArray[np.int64],
    length: NDArray[np.int64],
    key_start: NDArray[np.int64],
    key_length: NDArray[np.int64],
    offsets: NDArray[np.int64],
    latest_ms: NDArray[np.int64],
    scratch: Scratch,
    plain: Plain,
) -> None:
    """Read every record that is plain.

    Args:
        data: uint8[m]: records and keys, and `features.words.SLACK_BYTES` more.
        start: int64[n], where each record begins.
        length: int64[n], in bytes; at most that of the contract, -1 for a record that is not to be read.
        key_start: int64[n], where its key begins.
        key_length: int64[n], -1 if it has none.
        offsets: int64[n].
        latest_ms: int64[n], the latest time that its event may have.
        scratch: working memory, from `new_scratch`.
        plain: filled.
    """
    data = uncounted(data)
    is_plain, events, spans = uncounted(plain.is_plain), uncounted(plain.events), uncounted(plain.spans)
    members, fields = uncounted(scratch.members), uncounted(scratch.fields)
    for row in range(len(start)):
        is_plain[row] = False
        if length[row] < 0:
            continue
        event, span = events[row], spans[row]
        _clear(event, offsets[row])
        is_plain[row] = (
            _read_record(data, start[row], length[row], members, fields, event, span)
            and event["time_ms"] <= latest_ms[row]
            and (key_length[row] < 0 or _has_key(span, data, key_start[row], key_length[row]))
        )
