"""From what the JSON decoder says to an `InvalidRecord` that a producer can act on.

Only refused records come here, so clarity goes before speed: the record is parsed once more to name the value's
type. Nothing of the value itself is repeated, but for short words where one of a few words was expected and for
short numbers.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import msgspec
from msgspec.inspect import (
    BoolType,
    FloatType,
    IntType,
    LiteralType,
    Metadata,
    NoneType,
    StrType,
    StructType,
    Type,
    UnionType,
    type_info,
)

from features.card_number import mask
from features.errors import InvalidRecord

MAX_DEPTH: Final = 256
"""How deep arrays and objects may nest; a fixed number, so that a verdict never depends on a stack's size."""

ERROR_CODES: Final[Mapping[str, str]] = {
    "null_value": "The record has no value.",
    "too_large": "The value is larger than 64 KiB.",
    "too_deep": f"Arrays and objects nest more than {MAX_DEPTH} deep.",
    "not_json": "The value is not one JSON text in UTF-8.",
    "missing_field": "A required field is absent.",
    "wrong_type": "A field has another JSON type.",
    "out_of_range": "A field has the right type but a value outside its range, length, form or list.",
    "currency": "The currency is not an ISO 4217 code with a minor unit.",
    "key_mismatch": "The record's key is not its account_id.",
    "time_ahead": "The event's time is more than 5 minutes ahead of the record's Kafka timestamp.",
    "card_number": "A field holds something that looks like a card number.",
    "not_authorized": "A label or marker record without the signature of someone who may write it.",
    "rate_missing": "The model in force has no exchange rate for the currency.",
    "marker": "A marker asks for something that this engine cannot put in force.",
    "conflict": "The account's history holds the same event_id with other content.",
    "poison": "The record breaks the engine itself, though it keeps the contract: a fault of the engine.",
}
"""Every code a dead letter can carry, with its meaning. Codes are stable: consumers may switch on them."""

_PATH: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>\$[^`]*)`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"^Object missing required field `(?P<field>[^`]*)`$")
_WRONG_TYPE: Final = re.compile(r"^Expected `(?P<expected>[^`]*)`(?:, got `(?P<got>[^`]*)`)?$")
_OFFSET: Final = re.compile(r"\(byte (?P<offset>\d+)\)$")
_CURRENCY: Final = "an ISO 4217 code with a minor unit"
_SHORT_WORD: Final = re.compile(r"[A-Za-z_ -]{0,16}", re.ASCII)
_UNREADABLE: Final = object()  # a number that no type of Python can hold


def not_json(error: Exception) -> InvalidRecord:
    """The fault of a value that is not JSON in UTF-8, with the byte where the decoder stopped."""
    if isinstance(error, UnicodeDecodeError):
        got = f"byte 0x{error.object[error.start]:02x} at {error.start}, which is not UTF-8"
    elif offset := _OFFSET.search(str(error)):
        got = f"something else at byte {offset['offset']}"
    else:
        got = "a text that ends too early"
    return InvalidRecord("not_json", "$", "one JSON object in UTF-8", mask(got))


def too_deep() -> InvalidRecord:
    """The fault of a value that nests too deep."""
    return InvalidRecord("too_deep", "$", f"at most {MAX_DEPTH} levels of arrays and objects", "more levels")


def schema_fault(raw: bytes, error: msgspec.ValidationError, kind: Any) -> InvalidRecord:
    """The fault of a record that is JSON but not of the contract.

    `raw` is the record, `error` what the decoder of `kind` (a struct or a union of structs) said of it.
    """
    try:
        record = msgspec.json.decode(raw)
    except msgspec.ValidationError:
        record = _UNREADABLE
    except (msgspec.DecodeError, UnicodeDecodeError) as syntax:
        return not_json(syntax)
    parts = _PATH.match(str(error))
    assert parts is not None
    what, path = parts["what"], parts["path"] or "$"
    if missing := _MISSING.match(what):
        path = f"{path}.{missing['field']}"
        return InvalidRecord("missing_field", path, expected_at(kind, record, path), "nothing")
    got = describe(_value_at(record, path), expected_at(kind, record, path))
    if _WRONG_TYPE.match(what) or path == "$":
        return InvalidRecord("wrong_type", path, expected_at(kind, record, path), got)
    code = "currency" if path.endswith(".currency") else "out_of_range"
    return InvalidRecord(code, path, expected_at(kind, record, path), got)


def describe(value: object, expected: str = "") -> str:
    """`value` for a message: its JSON type, its length, or itself where it is a short number.

    A short word is repeated only where one of a few words was `expected`.

    >>> describe("4111111111111111"), describe(-120), describe("eur", "one of bnpl, card")
    ('a string of 16 characters', '-120', '"eur"')
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            text = repr(value)
            return mask(text) if len(text) <= 24 else f"a number of {len(text)} characters"
        case str():
            if expected.startswith(("one of ", _CURRENCY)) and _SHORT_WORD.fullmatch(value):
                return f'"{value}"'
            return f"a string of {len(value)} characters"
        case list():
            return "an array"
        case dict():
            return "an object"
        case _:
            return "a number out of every range"


def expected_at(kind: Any, record: object, path: str) -> str:
    """What the contract asks for at `path` of `record`, in words; `kind` is a struct or a union of tagged structs."""
    expectations = _expectations(kind)
    tag = record.get("type") if isinstance(record, dict) else None
    if isinstance(tag, str) and (tag, path) in expectations:
        return expectations[tag, path]
    return expectations.get((None, path), "what the contract says")


def _value_at(record: object, path: str) -> object:
    value = record
    for name in path.split(".")[1:]:
        value = value.get(name, _UNREADABLE) if isinstance(value, dict) else _UNREADABLE
    return value


@cache
def _expectations(kind: Any) -> dict[tuple[str | None, str], str]:
    """In words what is expected, by tag of the struct (None without one) and path."""
    found: dict[tuple[str | None, str], str] = {(None, "$"): "an object"}
    top = type_info(kind)
    structs = [
        struct for struct in (top.types if isinstance(top, UnionType) else [top]) if isinstance(struct, StructType)
    ]
    tags = [struct.tag for struct in structs if isinstance(struct.tag, str)]
    found[None, "$.type"] = f"one of {', '.join(sorted(tags))}"
    for struct in structs:
        _add_fields(found, struct.tag if isinstance(struct.tag, str) else None, "$", struct)
    return found


def _add_fields(found: dict[tuple[str | None, str], str], tag: str | None, path: str, struct: StructType) -> None:
    for field in struct.fields:
        field_path = f"{path}.{field.encode_name}"
        kind = present(field.type)
        found[tag, field_path] = _in_words(kind)
        if isinstance(kind, StructType):
            _add_fields(found, tag, field_path, kind)


def present(kind: Type) -> Type:
    """The type of an optional field when it is there."""
    if isinstance(kind, UnionType):
        return next(member for member in kind.types if not isinstance(member, NoneType))
    return kind


def _in_words(kind: Type) -> str:
    match kind:
        case Metadata(type=inner, extra_json_schema=extra):
            return f"a string that matches {extra['pattern']}" if extra and "pattern" in extra else _in_words(inner)
        case IntType(ge=low, le=high):
            return f"an integer from {low} to {high}"
        case FloatType(ge=low, le=high):
            return f"a number from {low:g} to {high:g}"
        case StrType(min_length=low, max_length=high):
            return f"a string of {low or 0} to {high} characters"
        case LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}" if len(values) <= 20 else _CURRENCY
        case BoolType():
            return "true or false"
        case _:
            return "an object"
