"""The event contract as types: what a record of the log may say, field by field.

msgspec checks types, lengths, ranges and enumerations while it parses. What it cannot check cheaply (digits, capital
letters, card numbers, the record's key and clock) is in `features.decode`, which is the only door for records.
Fields that are not named here are ignored. Absent optional fields are ``None``.
"""

import hashlib
from string import ascii_uppercase
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from features.money import MAX_AMOUNT_MINOR, Currency

MAX_TIME_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""
MERCHANT_CATEGORIES: Final = frozenset(f"{code:04}" for code in range(10_000))
"""Every ISO 18245 merchant category code: four digits. (As a set, because a pattern costs half a microsecond.)"""
DIGIT_FIELDS: Final = ("mcc", "bin")
"""Members that are strings of digits; `features.decode` checks it, because a pattern costs half a microsecond."""
CARD_NUMBER_FIELDS: Final = ("card_id", "device_id", "email", "phone", "address", "name")
"""Members where a card number is refused. Other identifiers may be long numbers."""

Identifier = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=256)]
EventId = Annotated[Identifier, Meta(description="Names this event once and for all; a repetition is a duplicate.")]
AccountId = Annotated[Identifier, Meta(description="The account; equal to the record's key.")]
TimeMs = Annotated[int, Meta(ge=0, le=MAX_TIME_MS, description="Milliseconds since 1970-01-01 UTC.")]
AmountMinor = Annotated[int, Meta(ge=0, le=MAX_AMOUNT_MINOR, description="In the currency's own minor unit.")]
CurrencyCode = Annotated[Currency, Meta(description="ISO 4217 code.")]
if TYPE_CHECKING:
    Country = str
else:
    # Every pair of capital letters: ISO 3166 grows, and user-assigned codes such as XK are in use. As a list of words
    # it is checked while parsing.
    Country = Annotated[
        Literal[tuple(a + b for a in ascii_uppercase for b in ascii_uppercase)],
        Meta(description="ISO 3166 alpha-2.", extra_json_schema={"pattern": "^[A-Z]{2}$"}),
    ]
MerchantCategory = Annotated[
    str,
    Meta(min_length=4, max_length=4, description="ISO 18245 code.", extra_json_schema={"pattern": "^[0-9]{4}$"}),
]
CardPrefix = Annotated[
    str,
    Meta(
        min_length=6,
        max_length=8,
        description="First digits of the card number: its issuer.",
        extra_json_schema={"pattern": "^[0-9]{6,8}$"},
    ),
]
CardToken = Annotated[Identifier, Meta(description="A token for the card. A card number is refused.")]
DeviceId = Annotated[
    Identifier, Meta(description="Pseudonym of the device. Hash an IMEI: it looks like a card number.")
]
Address = Annotated[Text, Meta(description="IP address, or its pseudonym.")]
Pseudonym = Annotated[Text, Meta(description="A keyed hash made by the producer, not the plain value.")]
Latitude = Annotated[float, Meta(ge=-90.0, le=90.0, description="Degrees north, WGS 84.")]
Longitude = Annotated[float, Meta(ge=-180.0, le=180.0, description="Degrees east, WGS 84.")]
Duration = Annotated[float, Meta(ge=0.0, le=1e12, description="Milliseconds.")]
Magnitude = Annotated[float, Meta(ge=-1e12, le=1e12)]
Count = Annotated[int, Meta(ge=0, le=10**9)]

FraudType = Literal["card_not_present", "account_takeover", "identity", "first_party", "scam", "mule", "card_testing"]
LabelSource = Literal["chargeback", "analyst", "customer", "refund", "reversal"]


class Session(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """How the person behaved in the session, summarised by the producer; every field is optional."""

    dwell_ms_mean: Duration | None = None
    dwell_ms_std: Duration | None = None
    flight_ms_mean: Magnitude | None = None
    flight_ms_std: Duration | None = None
    keys: Count | None = None
    backspaces: Count | None = None
    pastes: Count | None = None
    mouse_speed_mean: Magnitude | None = None
    mouse_curvature: Magnitude | None = None
    touch_pressure_mean: Magnitude | None = None
    duration_ms: Duration | None = None
    pages: Count | None = None


class _Record(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="type"):
    """What every record of the log has. ``gc=False`` is safe: a frozen tree of scalars cannot form a cycle."""

    event_id: EventId


class _OfAccount(_Record, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A record of one account."""

    account_id: AccountId
    time_ms: TimeMs


class Payment(_OfAccount, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="payment"):
    """Money leaves the account. Gets a verdict."""

    amount_minor: AmountMinor
    currency: CurrencyCode
    method: Literal["card", "bnpl", "p2p", "transfer"]
    merchant_id: Identifier | None = None
    mcc: MerchantCategory | None = None
    country: Country | None = None
    channel: Literal["ecom", "app", "pos", "atm", "api"] | None = None
    device_id: DeviceId | None = None
    ip: Address | None = None
    card_id: CardToken | None = None
    bin: CardPrefix | None = None
    beneficiary_id: Identifier | None = None
    email: Pseudonym | None = None
    lat: Latitude | None = None
    lon: Longitude | None = None
    authorization: Literal["approved", "declined"] | None = None
    session: Session | None = None


class Login(_OfAccount, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="login"):
    """Someone signs in, or tries to. Gets a verdict. `success` absent means that the outcome was not reported."""

    device_id: DeviceId | None = None
    ip: Address | None = None
    country: Country | None = None
    success: bool | None = None
    method: Literal["password", "passkey", "otp"] | None = None
    session: Session | None = None


class ProfileChange(_OfAccount, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="profile_change"):
    """Something about the account was changed. Feeds state; gets no verdict."""

    field: Literal["password", "email", "phone", "address", "beneficiary", "device", "limit"]
    device_id: DeviceId | None = None
    ip: Address | None = None
    session: Session | None = None


class Application(_OfAccount, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="application"):
    """Someone applies for an account or for credit. Gets a verdict."""

    email: Pseudonym | None = None
    phone: Pseudonym | None = None
    address: Pseudonym | None = None
    national_id: Pseudonym | None = None
    name: Text | None = None
    date_of_birth: Text | None = None
    requested_minor: AmountMinor | None = None
    currency: CurrencyCode | None = None
    device_id: DeviceId | None = None
    ip: Address | None = None
    session: Session | None = None


class Label(_OfAccount, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="label"):
    """What was learned later about an event, in its place in the log. Feeds state; gets no verdict.

    A later label for the same event replaces the earlier one.
    """

    judged_event_id: EventId
    label: Literal["fraud", "legit"]
    known_at_ms: TimeMs
    source: LabelSource
    fraud_type: FraudType | None = None


class Marker(_Record, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="marker"):
    """What is in force from here on: the hash of a model or a policy, the breaker's state, an entities offset.

    The reason is for people.
    """

    time_ms: TimeMs
    marker: Literal["model", "policy", "breaker", "entities"]
    value: Annotated[str, Meta(min_length=1, max_length=128)]
    reason: Text | None = None


def entities_offset_of(marker: Marker) -> int | None:
    """The offset of the entities topic that a marker of this kind makes visible; None if it names none.

    >>> [entities_offset_of(Marker(event_id="m", time_ms=0, marker="entities", value=value)) for value in ("17", "-1")]
    [17, None]
    """
    digits = marker.value
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 18 else None


Event = Payment | Login | ProfileChange | Application | Label | Marker
"""Any record of the log."""


class LabelIntake(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A label as chargeback, analyst and customer feeds send it, before it takes its place in the log."""

    judged_event_id: EventId
    account_id: AccountId
    label: Literal["fraud", "legit"]
    known_at_ms: TimeMs
    source: LabelSource
    fraud_type: FraudType | None = None


def as_log_record(intake: LabelIntake) -> Label:
    """The log's form of `intake`: its time is the moment it was known, its id is derived from its content.

    So the same label sent twice is one duplicate, not two labels.

    >>> as_log_record(LabelIntake(judged_event_id="p1", account_id="a1", label="fraud", known_at_ms=5,
    ...                           source="analyst")).event_id
    'label-a1ea1c1fa841e4f5669de473e66378a2'
    """
    digest = hashlib.blake2b(msgspec.json.encode(intake), digest_size=16).hexdigest()
    return Label(
        event_id=f"label-{digest}",
        time_ms=intake.known_at_ms,
        account_id=intake.account_id,
        judged_event_id=intake.judged_event_id,
        label=intake.label,
        known_at_ms=intake.known_at_ms,
        source=intake.source,
        fraud_type=intake.fraud_type,
    )
