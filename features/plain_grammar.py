"""The event contract as tables: what the compiled reader of plain records checks, made from the types themselves.

`features/events.py` is the only place that says what a record may hold. These tables are derived from it when the
module is imported; a constraint that they cannot express stops the import, so none can be overlooked.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from msgspec.inspect import (
    BoolType,
    FloatType,
    IntType,
    LiteralType,
    Metadata,
    StrType,
    StructType,
    Type,
    type_info,
)
from numpy.typing import NDArray

from features.columns import APPLICATION, CHANNELS, DECLINED, LOGIN, METHODS, PAYMENT, PROFILE_CHANGE, country_code
from features.events import CARD_NUMBER_FIELDS, DIGIT_FIELDS, Application, Login, Payment, ProfileChange
from features.faults import present
from features.money import CURRENCY_CODES
from features.plain_words import word_table

KINDS: Final = {PAYMENT: Payment, LOGIN: Login, PROFILE_CHANGE: ProfileChange, APPLICATION: Application}
"""The kinds that have a plain form; labels and markers need a look at their signature anyway."""

# Forms of a value.
TEXT, DIGITS, WORD, INTEGER, REAL, BOOLEAN, OBJECT = range(7)

# Where a value goes.
(
    NOWHERE,
    EVENT_ID,
    ACCOUNT,
    TIME,
    AMOUNT,
    CURRENCY,
    METHOD,
    CHANNEL,
    MERCHANT,
    DEVICE,
    IP,
    BENEFICIARY,
    BIN,
    CATEGORY,
    COUNTRY,
    LATITUDE,
    LONGITUDE,
    AUTHORIZATION,
    SUCCESS,
    EMAIL,
) = range(20)

_OF_EVERY_KIND: Final = {"event_id": EVENT_ID, "account_id": ACCOUNT, "time_ms": TIME, "device_id": DEVICE, "ip": IP}
_TARGETS: Final[Mapping[int, Mapping[str, int]]] = {
    PAYMENT: {
        "amount_minor": AMOUNT,
        "currency": CURRENCY,
        "method": METHOD,
        "channel": CHANNEL,
        "merchant_id": MERCHANT,
        "beneficiary_id": BENEFICIARY,
        "bin": BIN,
        "mcc": CATEGORY,
        "country": COUNTRY,
        "lat": LATITUDE,
        "lon": LONGITUDE,
        "authorization": AUTHORIZATION,
        "email": EMAIL,
    },
    LOGIN: {"country": COUNTRY, "success": SUCCESS},
    PROFILE_CHANGE: {},
    APPLICATION: {"requested_minor": AMOUNT, "currency": CURRENCY, "email": EMAIL},
}

RULE: Final = np.dtype(
    [
        ("form", np.int64),
        ("target", np.int64),
        ("words", np.int64),  # list of words, of a WORD
        ("least", np.int64),  # of an INTEGER its value, of a TEXT or DIGITS its length
        ("most", np.int64),
        ("least_real", np.float64),
        ("most_real", np.float64),
        ("required", np.bool_),
        ("no_card_number", np.bool_),
    ]
)

TOP, SESSION = 0, 1
"""Lists of words that are names: of a record's members, and of those of its session. Other lists are enumerations."""
TYPE: Final = 0
"""Number of the member `type`."""
MOST_FIELDS: Final = 63
"""So that a set of members fits into a word."""


class Grammar(NamedTuple):
    """The tables. A word is a name of a member or an entry of an enumeration."""

    slots: NDArray[np.int16]
    """int16[2^k], see `features.plain_words.find_word`."""
    words: NDArray[Any]
    """`WORD`[n]; the value is the number of the member, or what a column holds for the entry."""
    texts: NDArray[np.uint8]
    """uint8[m]: the words one behind the other."""
    rules: NDArray[Any]
    """`RULE`[rules]"""
    rule_of: NDArray[np.int64]
    """int64[kinds + 1, fields]: rule of each member of each kind, -1 where the kind ignores it."""
    session_rule_of: NDArray[np.int64]
    """int64[fields of a session]"""
    required: NDArray[np.uint64]
    """uint64[kinds + 1]: set of the members that each kind must have."""
    session_field: int
    """Number of the member `session`."""
    kinds: int
    """Number of the list of words that holds the kinds."""


class _Builder:
    """Collects words and rules."""

    def __init__(self) -> None:
        self.words: list[tuple[int, bytes, int]] = []
        self.rules: list[tuple[int, int, int, int, int, float, float, bool, bool]] = []
        self.lists: dict[tuple[int, tuple[str, ...]], int] = {}

    def rule(self, name: str, given: Type, target: int, required: bool) -> int:
        """Add the rule of a member; its number."""
        form, words, least, most = TEXT, 0, 0, 0
        least_real, most_real = 0.0, 0.0
        match _bare(given):
            case StrType(min_length=shortest, max_length=longest, pattern=None) if longest is not None:
                form = DIGITS if name in DIGIT_FIELDS else TEXT
                least, most = shortest or 0, longest
            case LiteralType(values=values):
                form, words = WORD, self.word_list(target, tuple(map(str, values)))
            case IntType(gt=None, ge=int(low), lt=None, le=int(high), multiple_of=None):
                form, least, most = INTEGER, low, high
            case FloatType(gt=None, ge=float(lowest), lt=None, le=float(highest), multiple_of=None):
                form, least_real, most_real = REAL, lowest, highest
            case BoolType():
                form = BOOLEAN
            case StructType():
                form = OBJECT
            case other:
                raise TypeError(f"{name}: expected a type that plain records have rules for, got {other}: add one")
        self.rules.append(
            (form, target, words, least, most, least_real, most_real, required, name in CARD_NUMBER_FIELDS)
        )
        return len(self.rules) - 1

    def word_list(self, target: int, values: tuple[str, ...]) -> int:
        """Number of an enumeration, added if it is new."""
        key = (target, values)
        if key not in self.lists:
            self.lists[key] = 2 + len(self.lists)
            self.words += [(self.lists[key], value.encode(), _number(target, value)) for value in values]
        return self.lists[key]


def _bare(given: Type) -> Type:
    """A type without its description, and without the None of an optional member."""
    given = present(given)
    return _bare(given.type) if isinstance(given, Metadata) else given


def _number(target: int, word: str) -> int:
    """What a column holds for an entry of an enumeration."""
    match target:
        case _ if target == CURRENCY:
            return CURRENCY_CODES[word]
        case _ if target == METHOD:
            return METHODS[word]
        case _ if target == CHANNEL:
            return CHANNELS[word]
        case _ if target == COUNTRY:
            return country_code(word)
        case _ if target == AUTHORIZATION:
            return DECLINED if word == "declined" else 0
    return 0


def _fields(kind: Any) -> Any:
    information = type_info(kind)
    assert isinstance(information, StructType)
    return information.fields


def build_grammar() -> Grammar:
    """Derive the tables from the types of the contract.

    Raises:
        TypeError: a type has a constraint that no rule expresses.
    """
    builder = _Builder()
    names: dict[str, int] = {"type": TYPE}
    for kind in KINDS.values():
        for field in _fields(kind):
            names.setdefault(field.encode_name, len(names))
    if len(names) > MOST_FIELDS:
        raise TypeError(f"expected at most {MOST_FIELDS} names of members, got {len(names)}: widen the sets")
    rule_of = np.full((1 + max(KINDS), len(names)), -1, dtype=np.int64)
    required = np.zeros(len(rule_of), dtype=np.uint64)
    session: Any = None
    for kind_code, kind in KINDS.items():
        targets = {**_OF_EVERY_KIND, **_TARGETS[kind_code]}
        required[kind_code] |= np.uint64(1 << TYPE)
        for field in _fields(kind):
            place = names[field.encode_name]
            target = targets.get(field.encode_name, NOWHERE)
            rule_of[kind_code, place] = builder.rule(field.encode_name, field.type, target, field.required)
            if field.required:
                required[kind_code] |= np.uint64(1 << place)
            if field.encode_name == "session":
                session = _bare(field.type)
    session_rules = [builder.rule(field.encode_name, field.type, NOWHERE, False) for field in session.fields]
    builder.words += [(TOP, name.encode(), place) for name, place in names.items()]
    builder.words += [(SESSION, field.encode_name.encode(), place) for place, field in enumerate(session.fields)]
    kinds = tuple(str(kind.__struct_config__.tag) for kind in KINDS.values())
    kind_list = builder.word_list(NOWHERE, kinds)
    codes = dict(zip((kind.encode() for kind in kinds), KINDS, strict=True))
    builder.words = [
        (number, word, codes[word] if number == kind_list else value) for number, word, value in builder.words
    ]
    slots, words, texts = word_table(builder.words)
    return Grammar(
        slots=slots,
        words=words,
        texts=texts,
        rules=np.array(builder.rules, dtype=RULE),
        rule_of=rule_of,
        session_rule_of=np.array(session_rules, dtype=np.int64),
        required=required,
        session_field=names["session"],
        kinds=kind_list,
    )
