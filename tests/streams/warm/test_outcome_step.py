"""What becomes of an outcome: a label that can be counted, the same whenever it comes, and nothing of the account."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.records import Outcome, encode
from models.decision import OUTCOMES
from models.telemetry_log import LabelSeen, decode_telemetry
from streams.warm.outcome_step import outcome_step
from tests.streams.test_schema import OUTCOME

DECIDED = msgspec.structs.replace(OUTCOME.judged, decision="review")
SOUND = msgspec.structs.replace(OUTCOME, judged=DECIDED)


def seen_in(outcome: Outcome) -> LabelSeen:
    message = outcome_step(encode(outcome), "t.telemetry")
    assert message is not None
    assert (message.topic, message.partition) == ("t.telemetry", 0)
    record = decode_telemetry(message.value or b"")
    assert isinstance(record, LabelSeen)
    return record


def test_a_label_says_what_was_decided_and_what_turned_out() -> None:
    record = seen_in(SOUND)
    assert (record.decision, record.is_fraud, record.time_ms, record.known_at_ms) == ("review", False, 1, 9)
    assert seen_in(msgspec.structs.replace(SOUND, label="fraud")).is_fraud


@pytest.mark.parametrize("decision", OUTCOMES)
def test_every_decision_can_be_counted(decision: str) -> None:
    judged = msgspec.structs.replace(DECIDED, decision=decision)
    assert seen_in(msgspec.structs.replace(SOUND, judged=judged)).decision == decision


def test_a_label_of_what_was_not_judged_measures_nothing() -> None:
    for judged in (None, msgspec.structs.replace(DECIDED, decision=None)):
        assert outcome_step(encode(msgspec.structs.replace(SOUND, judged=judged)), "t.telemetry") is None


def test_nothing_of_the_account_is_in_it() -> None:
    outcome = msgspec.structs.replace(SOUND, account_id="jo-4711", judged_event_id="pay-4711", event_id="lab-4711")
    message = outcome_step(encode(outcome), "t.telemetry")
    assert message is not None
    assert b"4711" not in (message.value or b"") + (message.key or b"")


ids = st.text("ab1:", min_size=1, max_size=4)


@given(ids, ids, ids, ids)
def test_events_have_one_name_if_and_only_if_account_and_id_are_the_same(a: str, b: str, c: str, d: str) -> None:
    one = seen_in(msgspec.structs.replace(SOUND, account_id=a, judged_event_id=b))
    other = seen_in(msgspec.structs.replace(SOUND, account_id=c, judged_event_id=d))
    assert (one.event == other.event) == ((a, b) == (c, d))


@pytest.mark.parametrize("value", [b"", b"{", b"{}", b"\xff"])
def test_what_is_no_outcome_is_told_to_be_none(value: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        outcome_step(value, "t.telemetry")
