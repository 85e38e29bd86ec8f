"""What stands in an archived file: the record byte for byte, typed columns beside it, no card number, and always the
same bytes."""

from io import BytesIO
from typing import Any

import msgspec
import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from features.card_number import redacted
from features.decode import decode
from features.errors import InvalidRecord
from features.events import Application, LabelIntake, Login, Marker, Payment, ProfileChange, Session
from features.events import Label as EventLabel
from features.records import Judged, Outcome, Reason, Verdict
from streams.archive_columns import PATHS, RECORD, TYPED, column_of, schema_of
from streams.archive_rows import parquet_bytes
from streams.log import LogRecord
from tests.streams.logs import START_MS, label, mixed_log, model_marker, payment

CARD = "4111 1111 1111 1111"


def rows_of(topic: str, *values: bytes | None, key: bytes | None = None) -> list[dict[str, Any]]:
    """Rows of a file of these values, as a reader sees them."""
    records = [LogRecord(offset, value, key, START_MS) for offset, value in enumerate(values)]
    content = parquet_bytes(topic, 3, records, b"secret")
    rows: list[dict[str, Any]] = parquet.read_table(BytesIO(content)).to_pylist()
    return rows


def members(*kinds: type[msgspec.Struct]) -> set[str]:
    return {name for kind in kinds for name in kind.__struct_fields__}


def test_every_member_of_the_contract_has_a_column() -> None:
    """A new field of an event, verdict, outcome or label must not be forgotten here."""
    events = members(Payment, Login, ProfileChange, Application, EventLabel, Marker) - {"value"}
    assert set(TYPED["events"]) == events | {"type", "marker_value"}
    assert set(TYPED["labels"]) == members(LabelIntake)
    place = {"event_offset", "entities_offset"}
    assert set(TYPED["verdicts"]) == members(Verdict) - {"at", "schema"} | place
    judged = {f"judged_{name}" for name in members(Judged)}
    assert set(TYPED["outcomes"]) == members(Outcome) - {"at", "schema", "judged"} | place | judged
    assert [field.name for field in TYPED["verdicts"]["reasons"].value_type] == list(Reason.__struct_fields__)
    assert [field.name for field in TYPED["events"]["session"]] == list(Session.__struct_fields__)
    assert set(PATHS) <= {name for columns in TYPED.values() for name in columns}
    assert not any(set(RECORD) & set(columns) for columns in TYPED.values())


def test_an_event_has_its_columns() -> None:
    session = {"keys": 3, "dwell_ms_mean": 1, "pages": "many"}
    (row,) = rows_of("events", payment(1, "a1", START_MS, lat=48.5, session=session, mcc=5411, extra=[1]), key=b"a1")
    assert (row["partition"], row["offset"], row["timestamp_ms"], row["key"]) == (3, 0, START_MS, b"a1")
    assert (row["event_id"], row["type"], row["amount_minor"], row["lat"]) == ("p1", "payment", 1_200, 48.5)
    assert row["mcc"] is None  # a number where the contract has text
    assert row["session"]["keys"] == 3
    assert row["session"]["dwell_ms_mean"] == 1.0
    assert row["session"]["pages"] is None


def test_labels_and_markers_have_their_columns() -> None:
    of_label, of_marker = rows_of("events", label(1, "p1", "a1", START_MS), model_marker(2, "abcd", START_MS))
    assert (of_label["judged_event_id"], of_label["label"], of_label["source"]) == ("p1", "fraud", "chargeback")
    assert (of_marker["marker"], of_marker["marker_value"], of_marker["account_id"]) == ("model", "abcd", None)


def test_an_outcome_has_what_it_judges() -> None:
    outcome = {
        "event_id": "l1",
        "judged": {"time_ms": 5, "offset": 7, "decision": "approve", "score": 0.25, "amount_base_minor": 12},
        "features": {"account_payment_count_1h": 2.0, "account_amount_z_30d": None},
        "flags": ["late"],
        "at": {"partition": 0, "offset": 9, "entities_offset": -1},
    }
    (row,) = rows_of("outcomes", orjson.dumps(outcome))
    assert (row["judged_offset"], row["judged_decision"], row["judged_score"]) == (7, "approve", 0.25)
    assert (row["event_offset"], row["entities_offset"], row["flags"]) == (9, -1, ["late"])
    assert dict(row["features"]) == outcome["features"]
    (unknown,) = rows_of("outcomes", b'{"judged":null,"features":{},"at":[]}')
    assert (unknown["judged_offset"], unknown["features"], unknown["event_offset"]) == (None, [], None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=40)
@given(
    topic=st.sampled_from(sorted(TYPED)),
    data=st.data(),
    odd=st.lists(st.none() | st.binary(max_size=20) | st.just(b"[" * 3_000), max_size=3),
)
def test_the_value_is_kept_whatever_it_is(topic: str, data: st.DataObject, odd: list[bytes | None]) -> None:
    names = sorted({PATHS.get(name, (name,))[0] for name in TYPED[topic]})
    objects = data.draw(st.lists(st.dictionaries(st.sampled_from(names), json_values, max_size=6), max_size=3))
    values = [*odd, *(msgspec.json.encode(each) for each in objects)]
    found = rows_of(topic, *values)
    kept = [row["value"] for row in found]
    for value, stored, record in zip(values, kept, found, strict=True):
        refused = decode(value, timestamp_ms=START_MS)
        is_redacted = topic in ("events", "labels") and isinstance(refused, InvalidRecord) and refused.has_card_number
        assert stored == value or (is_redacted and value and stored == redacted(value, b"secret"))
        assert record["offset"] == found.index(record)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (pa.int64(), 2**63 - 1, 2**63 - 1),
        (pa.int64(), 2**63, None),
        (pa.int64(), True, None),
        (pa.int64(), 1.0, None),
        (pa.int64(), "1", None),
        (pa.float64(), 3, 3.0),
        (pa.float64(), False, None),
        (pa.bool_(), True, True),
        (pa.bool_(), 1, None),
        (pa.string(), 1, None),
        (pa.list_(pa.string()), ["a", 1], ["a", None]),
        (pa.list_(pa.string()), "a", None),
        (pa.map_(pa.string(), pa.float64()), [], None),
    ],
)
def test_what_is_of_another_type_is_null(kind: Any, value: Any, expected: Any) -> None:
    assert column_of("x", kind, [{"x": value}]).to_pylist() == [expected]


def test_a_refused_record_with_a_card_number_is_stored_as_dead_letters_are() -> None:
    refused = payment(1, "a1", START_MS, card_id=CARD)
    broken = b'{"type":"payment","note":"' + CARD.encode() + b'"'
    accepted = payment(2, "a1", START_MS, device_id="d1")
    rows = rows_of("events", refused, broken, accepted, key=b"a1")
    assert [row["value"] for row in rows] == [redacted(refused, b"secret"), redacted(broken, b"secret"), accepted]
    assert rows[0]["event_id"] is None
    assert rows_of("labels", broken)[0]["value"] == redacted(broken, b"secret")
    again = decode(rows[0]["value"], key=b"a1", timestamp_ms=START_MS)
    assert isinstance(again, InvalidRecord)  # as before, so nothing that follows changes
    assert again.code == "not_json"  # what docs/archive.md says of it
    whole = parquet_bytes("events", 0, [LogRecord(0, refused, b"a1", START_MS)], None)
    assert b"4111" not in whole


def test_the_same_records_give_the_same_bytes() -> None:
    log = [LogRecord(n, value, b"k", START_MS + n, (("h", b"v"),)) for n, value in enumerate(mixed_log(300, seed=5))]
    assert parquet_bytes("events", 0, log, None) == parquet_bytes("events", 0, list(log), None)
    assert parquet_bytes("events", 0, log, None) != parquet_bytes("events", 0, log[:-1], None)


def test_pieces_that_are_parsed_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    log = [LogRecord(n, value, b"k", START_MS) for n, value in enumerate(mixed_log(300, seed=6))]
    whole = parquet_bytes("events", 0, log, None)
    monkeypatch.setattr("streams.archive_rows._PIECE_ROWS", 7)
    assert parquet_bytes("events", 0, log, None) == whole


@pytest.mark.parametrize("topic", sorted(TYPED))
def test_the_schema_of_the_file_is_the_declared_one(topic: str) -> None:
    content = parquet_bytes(topic, 0, [LogRecord(0, b"{}", None, None)], None)
    assert parquet.read_schema(BytesIO(content)).equals(schema_of(topic))
