"""The published schemas: as generated, and of one mind with the decoder and the records that the engine writes."""

import json
import re
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.decode import decode, decode_label
from features.errors import InvalidRecord
from features.events import LabelIntake, Payment
from features.faults import ERROR_CODES
from features.records import (
    DEAD_LETTER_HEADERS,
    Alert,
    Coordinates,
    Judged,
    Outcome,
    Reason,
    Verdict,
    dead_letter_json,
    encode,
)
from streams.schema import NAMES, schema, text
from tests.features import torture
from tests.features.examples import APPLICATION, EVENTS, LABEL, PAYMENT, encoded

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "schema"
VALIDATORS = {name: jsonschema.Draft202012Validator(schema(name)) for name in NAMES}
# What no schema can say: these look at the record's bytes, its key or its clock.
BEYOND_A_SCHEMA = {"too_large", "too_deep", "not_json", "card_number", "key_mismatch", "time_ahead"}
VERDICT = Verdict(
    event_id="p-1",
    account_id="a-1",
    time_ms=1,
    decision="review",
    score=0.25,
    anomaly=None,
    expected_loss_minor=12,
    reasons=[
        Reason(
            code="VEL01",
            feature="account_payment_count_10m",
            value=7.0,
            baseline=float("nan"),
            contribution=1.23,
            text="7 payments in 10 minutes",
        )
    ],
    model="0123456789abcdef",
    policy="fedcba9876543210",
    at=Coordinates(3, 88121, 5120),
    flags=["late", "degraded"],
)
OUTCOME = Outcome(
    event_id="label-1",
    judged_event_id="p-1",
    account_id="a-1",
    label="legit",
    fraud_type=None,
    known_at_ms=9,
    source="reversal",
    judged=Judged(time_ms=1, offset=2, decision=None, score=0.5, anomaly=None, amount_base_minor=99),
    feature_set="0123456789abcdef",
    features={"account_payment_count_1h": 3.0, "account_amount_z_30d": None},
    flags=["approximate"],
    at=Coordinates(3, 4),
)
ALERT = Alert(
    alert="feature-drift",
    subjects=["account_payment_count_1h"],
    status="firing",
    severity="ticket",
    text="values are not distributed as in training",
    value=0.3,
    expected=None,
    since_ms=1,
    at_ms=2,
    runbook="docs/runbooks/feature-drift.md",
)


def agrees(name: str, record: object) -> bool:
    return bool(VALIDATORS[name].is_valid(record))


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_schema_is_the_generated_one(name: str) -> None:
    committed = (COMMITTED / f"{name}.json").read_text(encoding="utf-8")
    assert committed == text(schema(name)), "run: assay schema --out docs/schema"


def test_every_committed_schema_is_one_of_ours() -> None:
    assert sorted(path.stem for path in COMMITTED.glob("*.json")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_schema_with_a_title_and_a_word_for_what_it_holds(name: str) -> None:
    document = schema(name)
    jsonschema.Draft202012Validator.check_schema(document)
    assert document["title"]
    assert document["description"]
    assert "Attributes:" not in text(document)
    for part in [document, *document.get("$defs", {}).values()]:
        assert part["description"]


def without_whole_floats(literal: str) -> float:
    """``12.0`` is an integer to JSON Schema; the contract wants integers without a fraction."""
    number = float(literal)
    return number + 0.5 if number.is_integer() else number


def is_for_a_schema(case: torture.Case) -> bool:
    """Whether a schema can judge the case, and Python's own parser can read it (integers of up to 4,300 digits)."""
    return case.value is not None and case.code not in BEYOND_A_SCHEMA and b"1" * 4300 not in case.value


@pytest.mark.parametrize("case", list(filter(is_for_a_schema, torture.CASES)), ids=lambda case: case.name)
def test_schema_and_decoder_agree_on_the_corpus(case: torture.Case) -> None:
    record = json.loads(case.value or b"", parse_float=without_whole_floats)
    assert agrees("event", record) == (case.code is None)


json_values = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10**16)
    | st.floats(-200, 200).filter(lambda number: not number.is_integer())
    | st.text(max_size=5)
    | st.sampled_from(["EUR", "DE", "de", "5411", "411111", "payment", "login", "card", "fraud", "x" * 65, "x" * 300])
    | st.sampled_from([[], {}, [1], {"keys": 1}, {"keys": -1}, {"keys": None}, {"flight_ms_mean": -3.5}])
)
field_names = st.sampled_from(sorted({name for record in EVENTS for name in record} | {"extra"}))


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(EVENTS), st.dictionaries(field_names, json_values, max_size=2), st.sets(field_names, max_size=1))
def test_schema_and_decoder_agree_on_any_change(record: dict, changes: dict, absent: set) -> None:
    changed = {name: value for name, value in (record | changes).items() if name not in absent}
    answer = decode(encoded(changed))
    if not isinstance(answer, InvalidRecord) or answer.code not in BEYOND_A_SCHEMA:
        assert agrees("event", changed) == (not isinstance(answer, InvalidRecord)), answer
    label = decode_label(encoded(changed))
    if not isinstance(label, InvalidRecord) or label.code not in BEYOND_A_SCHEMA:
        assert agrees("label", changed) == (not isinstance(label, InvalidRecord)), label


def test_the_engines_records_fit_their_schemas() -> None:
    assert agrees("verdict", json.loads(encode(VERDICT)))
    approved = msgspec.structs.replace(VERDICT, decision="approve", score=None, expected_loss_minor=None, reasons=[])
    assert agrees("verdict", json.loads(encode(approved)))
    assert agrees("outcome", json.loads(encode(OUTCOME)))
    assert agrees("outcome", json.loads(encode(msgspec.structs.replace(OUTCOME, judged=None, features={}))))
    assert agrees("alert", json.loads(encode(ALERT)))
    assert agrees("alert", json.loads(encode(msgspec.structs.replace(ALERT, subjects=[], status="resolved"))))
    error = InvalidRecord("wrong_type", "$", "an object", "an array")
    for value in (b"[]", b"\xff", None):
        letter = dead_letter_json(error, topic="t", partition=0, offset=1, value=value, redaction_key=None)
        assert agrees("dead-letter", json.loads(letter))


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("verdict", {**json.loads(encode(VERDICT)), "decision": "maybe"}),
        ("verdict", {**json.loads(encode(VERDICT)), "score": 1.5}),
        ("verdict", {**json.loads(encode(VERDICT)), "flags": ["tired"]}),
        ("verdict", {**json.loads(encode(VERDICT)), "model": "latest"}),
        ("verdict", {k: v for k, v in json.loads(encode(VERDICT)).items() if k != "at"}),
        ("outcome", {**json.loads(encode(OUTCOME)), "features": {"x": "y"}}),
        ("outcome", {**json.loads(encode(OUTCOME)), "label": "unclear"}),
        ("label", {k: v for k, v in LABEL.items() if k != "source"}),
        ("event", {k: v for k, v in PAYMENT.items() if k != "currency"}),
        ("event", APPLICATION | {"currency": "XXX"}),
        ("dead-letter", {"code": "x"}),
        ("alert", {**json.loads(encode(ALERT)), "alert": "Feature drift"}),
        ("alert", {**json.loads(encode(ALERT)), "status": "over"}),
        ("alert", {**json.loads(encode(ALERT)), "since_ms": 1.5}),
    ],
)
def test_schemas_refuse_what_is_wrong(name: str, record: dict) -> None:
    assert not agrees(name, record)


def test_the_contract_explains_every_code_and_every_header() -> None:
    contract = (COMMITTED.parent / "contract.md").read_text(encoding="utf-8")
    table = contract.split("| code | meaning |")[1].split("\n\n")[0]
    explained = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \| [^|]+ \|$", table, flags=re.MULTILINE))
    assert explained == dict(ERROR_CODES)
    for header in DEAD_LETTER_HEADERS.values():
        assert f"| `{header}` |" in contract


def test_the_examples_in_the_contract_are_right() -> None:
    contract = (COMMITTED.parent / "contract.md").read_text(encoding="utf-8")
    event, label, verdict, alert = re.findall(r"```json\n(.*?)```", contract, flags=re.DOTALL)
    assert isinstance(decode(event.encode(), key=b"a-1"), Payment)
    assert isinstance(decode_label(label.encode(), key=b"a-1"), LabelIntake)
    assert agrees("verdict", json.loads(verdict))
    assert list(json.loads(verdict)) == list(Verdict.__struct_fields__)
    assert agrees("alert", json.loads(alert))
    assert list(json.loads(alert)) == list(Alert.__struct_fields__)


def test_the_contract_names_every_field_of_every_event() -> None:
    contract = (COMMITTED.parent / "contract.md").read_text(encoding="utf-8")
    fields = {name for record in EVENTS for name in record if record["type"] != "marker"} | set(PAYMENT["session"])
    assert {name for name in fields if f"`{name}`" not in contract and f'"{name}"' not in contract} == set()
