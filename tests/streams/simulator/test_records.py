"""Events and labels as the contract wants them: valid, with every field and every word of it in use."""

from typing import Any

import numpy as np
import orjson
import pytest

from features.decode import decode, decode_label
from features.errors import InvalidRecord
from features.events import Label, LabelIntake
from streams.simulator import Timeline, money, rows
from streams.simulator.known import label_records


def test_every_event_decodes_and_its_key_is_its_account(records: list[dict[str, Any]]) -> None:
    refused = [
        outcome
        for record in records
        if isinstance(outcome := decode(orjson.dumps(record), key=record["account_id"].encode()), InvalidRecord)
    ]
    assert refused == []


def test_every_label_decodes_as_intake_and_as_a_record_of_the_log(world: Timeline) -> None:
    for record in label_records(world):
        value = orjson.dumps(record)
        intake, entry = decode_label(value), decode(value, key=record["account_id"].encode())
        assert isinstance(intake, LabelIntake)
        assert isinstance(entry, Label)
        assert entry.time_ms == entry.known_at_ms == intake.known_at_ms
        assert (entry.fraud_type is None) == (entry.label == "legit")


def test_every_optional_field_of_the_contract_is_used(records: list[dict[str, Any]]) -> None:
    seen: dict[str, set[str]] = {}
    for record in records:
        seen.setdefault(record["type"], set()).update(record)
    common = {"event_id", "type", "account_id", "time_ms", "device_id", "ip"}
    money_fields = {"amount_minor", "currency", "method", "card_id", "bin", "beneficiary_id", "authorization"}
    place = {"merchant_id", "mcc", "country", "channel", "lat", "lon", "email", "session"}
    assert seen["payment"] == common | money_fields | place
    assert seen["login"] == common | {"country", "success", "method", "session"}
    assert seen["profile_change"] == common | {"field"}
    person = {"email", "phone", "address", "national_id", "name", "date_of_birth", "session"}
    assert seen["application"] == common | person | {"requested_minor", "currency"}


def test_every_word_of_the_contract_occurs(records: list[dict[str, Any]]) -> None:
    def words(kind: str, field: str) -> set[str]:
        return {record[field] for record in records if record["type"] == kind and field in record}

    assert words("payment", "method") == set(rows.METHODS)
    assert words("payment", "channel") == set(rows.CHANNELS)
    assert words("payment", "authorization") == {"approved", "declined"}
    assert {"EUR", "GBP", "JPY", "KWD"} <= words("payment", "currency")
    assert words("login", "method") == set(rows.LOGIN_METHODS)
    assert words("profile_change", "field") == set(rows.FIELDS)


def test_amounts_are_in_the_minor_unit_of_their_currency(records: list[dict[str, Any]]) -> None:
    decimals = {currency.code: currency.decimals for currency in money.CURRENCIES}
    assert (decimals["JPY"], decimals["KWD"]) == (0, 3)
    euros: dict[str, list[float]] = {}
    for record in records:
        if record["type"] == "payment":
            per_euro = next(currency.per_euro for currency in money.CURRENCIES if currency.code == record["currency"])
            amount = record["amount_minor"] / 10 ** decimals[record["currency"]] / per_euro
            euros.setdefault(record["currency"], []).append(amount)
    for code in ("GBP", "JPY", "KWD"):
        assert np.median(euros[code]) == pytest.approx(np.median(euros["EUR"]), rel=0.5)


def test_the_account_receives_nothing_from_itself(records: list[dict[str, Any]]) -> None:
    assert not [record for record in records if record.get("beneficiary_id") == record["account_id"]]
