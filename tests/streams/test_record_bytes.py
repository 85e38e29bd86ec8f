"""The bytes of the records of links, telemetry and alerts, and that readers and schemas take them."""

import json

import jsonschema
import msgspec
import numpy as np
import pytest

from features.links import FLUSH, LINK, MARK, VOLUME, Flushes, flushes_json, flushes_of
from features.links_record import FlushTable, LinkTable, MarkTable, VolumeTable
from features.records import Alert, encode
from models.skew import FeatureSkew
from models.summary import Counts, Summary
from models.telemetry_log import Compared, LabelSeen, Snooze, Tick, decode_telemetry
from streams.schema import schema
from streams.telemetry import summary_json
from tests.streams.test_schema import ALERT

LARGEST = 2**64 - 1
FLUSHES = Flushes(
    np.array([(7, 120, 5), (8, 190, 9)], FLUSH),
    np.array([(7, LARGEST, 2, 4, 1_200, 2, 1, 1, 8, 3)], LINK),
    np.array([(8, 2, 3, 1, 20_254, 4)], VOLUME),
    np.array([(8, 1, 2, 3, 40, 5, 6, 7, 8, 9, 10, 12, 13, 11, True)], MARK),
)
LINKS_JSON = (
    b'{"partition":3,"flushes":{"flush":[7,8],"end":[120,190],"time_ms":[5,9]},'
    b'"links":{"flush":[7],"account":[18446744073709551615],"entity":[2],"time_ms":[4],"amount_minor":[1200],'
    b'"payments":[2],"declined":[1],"small":[1],"network":[8],"kind":[3]},'
    b'"volumes":{"flush":[8],"entity":[2],"parent":[3],"payments":[1],"day":[20254],"kind":[4]},'
    b'"marks":{"flush":[8],"account":[1],"event":[2],"label":[3],"known_at_ms":[40],"event_time_ms":[5],"device":[6],'
    b'"ip":[7],"merchant":[8],"beneficiary":[9],"bin":[10],"network":[12],"email_domain":[13],"category":[11],"fraud":[true]},"schema":1}'
)
COUNTS = Counts(
    decisions=(2, 0, 1, 0),
    published=(2, 1, 0, 0),
    scores=(2, 1, *(0,) * 48),
    score_sum_micro=30_000,
    reasons={"VEL01": 1},
    flags={"late": 1},
    sampled=1,
    bins=((0, 1), (1,)),
    missing=(0, 0),
)
SUMMARY = Summary(partition=3, number=88_121, time_ms=9, model="0123456789abcdef", counts=COUNTS)
SUMMARY_JSON = (
    b'{"type":"summary","schema":1,"partition":3,"number":88121,"time_ms":9,"model":"0123456789abcdef",'
    b'"counts":{"decisions":[2,0,1,0],"published":[2,1,0,0],"without_model":0,"scores":[2,1' + b",0" * 48 + b"],"
    b'"score_sum_micro":30000,"reasons":{"VEL01":1},"flags":{"late":1},"sampled":1,"bins":[[0,1],[1]],"missing":[0,0]}}'
)
SNOOZE = Snooze(kind="feature-drift", subject=None, until_ms=9, by="ana", reason="the sale")
SNOOZE_JSON = b'{"type":"snooze","kind":"feature-drift","subject":null,"until_ms":9,"by":"ana","reason":"the sale"}'
LABEL_SEEN = LabelSeen(
    event="0" * 31 + "1", time_ms=1, known_at_ms=9, label="f" * 32, is_fraud=True, decision="approve"
)
LABEL_JSON = (
    b'{"type":"label","event":"00000000000000000000000000000001","time_ms":1,"known_at_ms":9,'
    b'"label":"ffffffffffffffffffffffffffffffff","is_fraud":true,"decision":"approve"}'
)
COMPARED = Compared(
    rows=4, features=[FeatureSkew(name="account_age_seconds", differing=1, share=0.25, one_sided=0, largest=0.5)]
)
COMPARED_JSON = (
    b'{"type":"compared","rows":4,"features":['
    b'{"name":"account_age_seconds","differing":1,"share":0.25,"one_sided":0,"largest":0.5}]}'
)
ALERT_JSON = (
    b'{"alert":"feature-drift","subjects":["account_payment_count_1h"],"status":"firing","severity":"ticket",'
    b'"text":"values are not distributed as in training","value":0.3,"expected":null,"since_ms":1,"at_ms":2,'
    b'"runbook":"docs/runbooks/feature-drift.md","schema":1}'
)
REQUIRED = {"type", "partition", "flushes", "time_ms", "kind", "until_ms", "counts", "alert"}
WRITTEN = {
    "links": [LINKS_JSON],
    "telemetry": [SUMMARY_JSON, b'{"type":"tick","time_ms":9}', SNOOZE_JSON, LABEL_JSON, COMPARED_JSON],
    "alert": [ALERT_JSON],
}


def test_the_writers_write_these_bytes() -> None:
    assert flushes_json(3, FLUSHES) == LINKS_JSON
    assert summary_json(SUMMARY) == SUMMARY_JSON
    assert msgspec.json.encode(Tick(9)) == WRITTEN["telemetry"][1]
    assert msgspec.json.encode(SNOOZE) == SNOOZE_JSON
    assert msgspec.json.encode(LABEL_SEEN) == LABEL_JSON
    assert msgspec.json.encode(COMPARED) == COMPARED_JSON
    assert encode(ALERT) == ALERT_JSON


def test_the_readers_read_what_was_written() -> None:
    partition, flushes = flushes_of(LINKS_JSON)
    assert partition == 3
    assert [table.tolist() for table in flushes] == [table.tolist() for table in FLUSHES]
    telemetry = [SUMMARY, Tick(9), SNOOZE, LABEL_SEEN, COMPARED]
    assert [decode_telemetry(value) for value in WRITTEN["telemetry"]] == telemetry
    assert msgspec.json.decode(ALERT_JSON, type=Alert) == ALERT


@pytest.mark.parametrize(
    ("table", "dtype"), [(FlushTable, FLUSH), (LinkTable, LINK), (VolumeTable, VOLUME), (MarkTable, MARK)]
)
def test_the_schema_of_a_table_has_its_columns_in_their_order(table: type[msgspec.Struct], dtype: np.dtype) -> None:
    assert table.__struct_fields__ == dtype.names


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_fits_the_schema_and_without_a_required_member_it_does_not(name: str) -> None:
    validator = jsonschema.Draft202012Validator(schema(name))
    for value in WRITTEN[name]:
        record = json.loads(value)
        validator.validate(record)
        for member in {
            "type",
            "partition",
            "flushes",
            "time_ms",
            "kind",
            "until_ms",
            "counts",
            "alert",
            "rows",
        } & record.keys():
            assert not validator.is_valid({key: other for key, other in record.items() if key != member}), member
        assert not validator.is_valid({**record, "schema": 2, "type": "other"})


@pytest.mark.parametrize(
    "value",
    [
        {"type": "tick", "time_ms": 1.5},
        {"type": "tick", "time_ms": 1, "more": 1},
        {**json.loads(SNOOZE_JSON), "by": ""},
        {**json.loads(SNOOZE_JSON), "kind": "Feature drift"},
        {**json.loads(SUMMARY_JSON), "partition": -1},
        {**json.loads(LABEL_JSON), "event": "p-1"},
        {**json.loads(LABEL_JSON), "decision": None},
        {**json.loads(COMPARED_JSON), "rows": 0},
        {"type": "compared", "rows": 1, "features": [{"name": "A b"}]},
        {"type": "compared", "rows": 1, "features": [{**json.loads(COMPARED_JSON)["features"][0], "name": ""}]},
    ],
)
def test_schema_and_reader_agree_on_what_is_no_telemetry(value: dict[str, object]) -> None:
    assert not jsonschema.Draft202012Validator(schema("telemetry")).is_valid(value)
    with pytest.raises(msgspec.MsgspecError):
        decode_telemetry(json.dumps(value).encode())
