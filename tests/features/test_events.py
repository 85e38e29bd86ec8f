"""The types of the contract: what they hold, and that they cannot be changed."""

from typing import get_args

import msgspec
import pytest

from features.events import (
    MERCHANT_CATEGORIES,
    Event,
    Label,
    LabelIntake,
    Marker,
    Payment,
    Session,
    as_log_record,
)
from tests.features.examples import EVENTS, encoded

INTAKE = LabelIntake(judged_event_id="p-1", account_id="a-1", label="fraud", known_at_ms=7, source="analyst")


def test_there_are_six_kinds_told_apart_by_their_type() -> None:
    tags = [kind.__struct_config__.tag for kind in get_args(Event)]
    assert tags == ["payment", "login", "profile_change", "application", "label", "marker"]
    assert {kind.__struct_config__.tag_field for kind in get_args(Event)} == {"type"}


@pytest.mark.parametrize("record", EVENTS, ids=lambda record: record["type"])
def test_the_examples_name_every_field(record: dict[str, object]) -> None:
    kind = next(kind for kind in get_args(Event) if kind.__struct_config__.tag == record["type"])
    optional = {"session"} if "session" not in record else set()
    assert set(kind.__struct_fields__) - optional == set(record) - {"type"}


def test_the_example_session_names_every_field() -> None:
    assert set(Session.__struct_fields__) == set(EVENTS[0]["session"])


@pytest.mark.parametrize("record", EVENTS, ids=lambda record: record["type"])
def test_events_are_never_changed_and_not_tracked_by_the_garbage_collector(record: dict[str, object]) -> None:
    event = msgspec.json.decode(encoded(record), type=Event)
    assert not event.__struct_config__.gc
    with pytest.raises(AttributeError):
        event.event_id = "another"


def test_absent_fields_are_none_and_not_written() -> None:
    payment = Payment(event_id="p", account_id="a", time_ms=1, amount_minor=2, currency="EUR", method="p2p")
    assert payment.merchant_id is None
    assert payment.session is None
    assert msgspec.json.encode(payment) == (
        b'{"type":"payment","event_id":"p","account_id":"a","time_ms":1,'
        b'"amount_minor":2,"currency":"EUR","method":"p2p"}'
    )


def test_a_marker_has_no_account() -> None:
    assert "account_id" not in Marker.__struct_fields__


def test_there_are_ten_thousand_merchant_categories() -> None:
    assert len(MERCHANT_CATEGORIES) == 10_000
    assert {"0000", "5411", "9999"} <= MERCHANT_CATEGORIES


def test_a_label_takes_its_place_at_the_moment_it_was_known() -> None:
    label = as_log_record(INTAKE)
    assert (label.time_ms, label.known_at_ms, label.account_id, label.judged_event_id) == (7, 7, "a-1", "p-1")
    assert msgspec.json.decode(msgspec.json.encode(label), type=Event) == label


def test_a_label_sent_twice_has_one_id_and_another_label_has_another() -> None:
    ids = {as_log_record(INTAKE).event_id, as_log_record(msgspec.structs.replace(INTAKE)).event_id}
    assert len(ids) == 1
    for field, value in {
        "judged_event_id": "p-2",
        "account_id": "a-2",
        "label": "legit",
        "known_at_ms": 8,
        "source": "reversal",
        "fraud_type": "mule",
    }.items():
        ids.add(as_log_record(msgspec.structs.replace(INTAKE, **{field: value})).event_id)
    assert len(ids) == 7
    assert all(len(each) <= 64 for each in ids)
    assert isinstance(as_log_record(INTAKE), Label)
