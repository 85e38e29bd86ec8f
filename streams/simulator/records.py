"""Rows as events in the contract's JSON shape, kind by kind; a field that an event does not have is left out."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.simulator import behaviour, identifiers, rows
from streams.simulator.email_addresses import email_addresses
from streams.simulator.geography import COUNTRIES, address_text, bank_numbers
from streams.simulator.identifiers import account_id, event_id, names, scrambled
from streams.simulator.merchants import CODES
from streams.simulator.money import CURRENCIES
from streams.simulator.rows import Rows
from streams.simulator.timeline import Timeline

Record = dict[str, Any]
Columns = dict[str, Sequence[Any]]

CHUNK = 1_024
"""Records made at a time; nothing depends on it but speed: they should fit into the processor's cache."""

_CURRENCY_CODES = [currency.code for currency in CURRENCIES]
_FIRST = (
    "Ada Alan Anna Aya Ben Carla Chloe Dario Elif Emma Erik Fatima Hugo Ines Ivan Jana Jonas Julia Kenji Lea Leo "
    "Lina Luca Maja Marta Mateo Mia Nils Nora Omar Paul Pia Rania Sara Sofia Theo Tom Yuki Zofia Zoe"
)
_LAST = (
    "Adams Bauer Becker Costa Dubois Ferrari Fischer Garcia Haddad Ito Jansen Keller Kowalski Laurent Lopez Maier "
    "Martin Moretti Murphy Novak Okafor Peeters Petit Ricci Rossi Sato Schmidt Silva Smith Svoboda Tanaka Weber "
    "Williams Wolf Yilmaz Zeman"
)
_FIRST_NAMES, _LAST_NAMES = _FIRST.split(), _LAST.split()


def event_records(timeline: Timeline) -> Iterator[Record]:
    """Every record of the event file, in order of arrival."""
    numbers = timeline.arrival.row
    for start in range(0, len(numbers), CHUNK):
        yield from _records_of(timeline, numbers[start : start + CHUNK])


def _records_of(timeline: Timeline, numbers: NDArray[np.int64]) -> list[Record]:
    """Records of the events with these positions."""
    table = timeline.events[numbers]
    records: list[Record] = [{}] * len(numbers)
    sessions = np.array(_sessions(table, numbers, timeline.scenario.seed), dtype=object)
    for kind, columns_of in ((rows.PAYMENT, _payments), (rows.LOGIN, _logins),
                             (rows.PROFILE_CHANGE, _changes), (rows.APPLICATION, _applications)):  # fmt: skip
        where = np.flatnonzero(table["kind"] == kind)
        some, their_numbers = table[where], numbers[where]
        columns: Columns = {
            "event_id": [event_id(number) for number in their_numbers.tolist()],
            "type": [rows.KINDS[kind]] * len(where),
            "account_id": [account_id(account) for account in some["account"].tolist()],
            "time_ms": some["time_ms"].tolist(),
            **columns_of(timeline, some),
            "session": sessions[where].tolist(),
        }
        fields = list(columns)
        for position, values in zip(where.tolist(), zip(*columns.values(), strict=True), strict=True):
            records[position] = {field: value for field, value in zip(fields, values, strict=True) if value is not None}
    return records


def _payments(timeline: Timeline, table: Rows) -> Columns:
    seed = timeline.scenario.seed
    return {
        "amount_minor": table["amount_minor"].tolist(),
        "currency": _words(_CURRENCY_CODES, table["currency"]),
        "method": _words(rows.METHODS, table["method"]),
        "merchant_id": [None if merchant < 0 else f"m{merchant:05d}" for merchant in table["merchant"].tolist()],
        "mcc": _categories(timeline, table["merchant"]),
        "country": _words(COUNTRIES, table["country"]),
        "channel": _words(rows.CHANNELS, table["channel"]),
        **_origin(timeline, table),
        "card_id": names(table["card"], identifiers.CARD, "c", seed),
        "bin": _bins(timeline, table),
        "beneficiary_id": _beneficiaries(timeline, table["beneficiary"]),
        "email": email_addresses(table["email"], len(timeline.people), seed),
        "lat": _degrees(table["latitude"]),
        "lon": _degrees(table["longitude"]),
        "authorization": _words(rows.AUTHORIZATIONS, table["authorization"]),
    }


def _logins(timeline: Timeline, table: Rows) -> Columns:
    return {
        **_origin(timeline, table),
        "country": _words(COUNTRIES, table["country"]),
        "success": (table["success"] == 1).tolist(),
        "method": _words(rows.LOGIN_METHODS, table["login_method"]),
    }


def _changes(timeline: Timeline, table: Rows) -> Columns:
    return {"field": _words(rows.FIELDS, table["field"]), **_origin(timeline, table)}


def _applications(timeline: Timeline, table: Rows) -> Columns:
    seed = timeline.scenario.seed
    drawn = scrambled(table["identity"], identifiers.PERSON, seed)
    born = np.datetime64("1950-01-01") + ((drawn >> np.uint64(32)) % np.uint64(20_000)).astype("timedelta64[D]")
    first, last = len(_FIRST_NAMES), len(_LAST_NAMES)
    return {
        "email": email_addresses(table["email"], len(timeline.people), seed),
        "phone": names(table["phone"], identifiers.PHONE, "", seed),
        "address": names(table["address"], identifiers.ADDRESS, "", seed),
        "national_id": names(table["identity"], identifiers.NATIONAL_ID, "", seed),
        "name": [f"{_FIRST_NAMES[draw % first]} {_LAST_NAMES[draw // first % last]}" for draw in drawn.tolist()],
        "date_of_birth": born.astype(str).tolist(),
        "requested_minor": table["amount_minor"].tolist(),
        "currency": _words(_CURRENCY_CODES, table["currency"]),
        **_origin(timeline, table),
    }


def _origin(timeline: Timeline, table: Rows) -> Columns:
    return {
        "device_id": names(table["device"], identifiers.DEVICE, "d", timeline.scenario.seed),
        "ip": [None if ip < 0 else address_text(ip) for ip in table["ip"].tolist()],
    }


def _words(vocabulary: Sequence[str], codes: NDArray[np.int8]) -> list[str | None]:
    words = (*vocabulary, None)  # a code of -1 is the last one
    return [words[code] for code in codes.tolist()]


def _degrees(values: NDArray[np.float32]) -> list[float | None]:
    rounded = np.round(values.astype(np.float64), 4).tolist()
    return [None if value != value else value for value in rounded]  # a NaN differs from itself


def _categories(timeline: Timeline, merchant: NDArray[np.int32]) -> list[str | None]:
    codes = CODES[timeline.merchants.category[np.maximum(merchant, 0)]]
    return _texts(codes, merchant >= 0)


def _bins(timeline: Timeline, table: Rows) -> list[str | None]:
    account = table["account"].astype(np.int64)
    return _texts(bank_numbers(account, timeline.people.country[account]), table["card"] >= 0)


def _texts(numbers: NDArray[np.int64], present: NDArray[np.bool_]) -> list[str | None]:
    return [str(number) if there else None for number, there in zip(numbers.tolist(), present.tolist(), strict=True)]


def _beneficiaries(timeline: Timeline, codes: NDArray[np.int64]) -> list[str | None]:
    """Account names for accounts of the platform, other names for the outside."""
    inside = len(timeline.people)
    outside = names(np.where(codes >= inside, codes, -1), identifiers.BENEFICIARY, "b", timeline.scenario.seed)
    return [
        account_id(code) if 0 <= code < inside else name for name, code in zip(outside, codes.tolist(), strict=True)
    ]


def _sessions(table: Rows, numbers: NDArray[np.int64], seed: int) -> list[behaviour.Summary | None]:
    result: list[behaviour.Summary | None] = [None] * len(table)
    where = np.flatnonzero(table["typist"] >= 0)
    chosen = table[where]
    made = behaviour.summaries(chosen["typist"], chosen["manner"], numbers[where], seed)
    for position, summary in zip(where.tolist(), made, strict=True):
        result[position] = summary
    return result
