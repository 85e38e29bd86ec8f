"""What may be said of an event, and that one redrive and one replay go on at a time."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from features.decode import decode, decode_label
from features.errors import AssayError
from features.events import LabelIntake
from features.records import encode
from streams.console.actions import label_of, start_redrive, start_replay
from streams.console.audit import Asked, AuditRecord
from streams.console.replay_run import ReplayOrder
from streams.dead_letters import Wanted
from tests.streams.console.makers import console

OF_A1 = b'"account_id":"a1","time_ms":1'
PAYMENT = b'{"event_id":"p1","type":"payment",%s,"amount_minor":5,"currency":"EUR","method":"card"}' % OF_A1
CHANGE = b'{"event_id":"c1","type":"profile_change",%s,"field":"email"}' % OF_A1


def found(value: bytes, verdict: bytes | None = b"{}") -> Any:
    """As much of an explained record as a label needs."""
    return SimpleNamespace(seen=SimpleNamespace(event=decode(value)), told=SimpleNamespace(verdict=verdict))


@pytest.mark.parametrize(("label", "fraud_type"), [("fraud", ""), ("fraud", "scam"), ("legit", "")])
def test_a_label_has_the_shape_of_the_contract(label: str, fraud_type: str) -> None:
    given = label_of(found(PAYMENT), label, fraud_type, known_at_ms=1_000)
    taken = decode_label(encode(given), key=b"a1", timestamp_ms=1_000)
    assert taken == given
    assert isinstance(taken, LabelIntake)
    assert (taken.judged_event_id, taken.account_id, taken.source) == ("p1", "a1", "analyst")
    assert taken.fraud_type == (fraud_type or None)


@pytest.mark.parametrize(("label", "fraud_type"), [("", ""), ("maybe", ""), ("fraud", "<b>"), ("legit", "scam")])
def test_a_label_that_is_none_is_refused(label: str, fraud_type: str) -> None:
    with pytest.raises(AssayError, match="expected"):
        label_of(found(PAYMENT), label, fraud_type, known_at_ms=1_000)


@pytest.mark.parametrize("what", [found(CHANGE, None), found(b"{", None), found(PAYMENT, None)])
def test_what_has_no_verdict_cannot_be_labelled(what: Any) -> None:
    with pytest.raises(AssayError, match="verdict"):
        label_of(what, "fraud", "", known_at_ms=1_000)


def test_one_redrive_and_one_replay_at_a_time(tmp_path: Path) -> None:
    """The first of each waits inside of its audit record; the second is refused, and tells nothing."""
    go, told = threading.Event(), []

    def write(record: AuditRecord) -> None:
        told.append(record.action)
        assert go.wait(30.0)
        raise AssayError("enough")

    bare = console(tmp_path)
    order = ReplayOrder(partition=None, start="", end="", model="")
    jobs = [
        start_redrive(bare, Asked(write, "redrive", "ana", "::1", {}), "events", Wanted(), "ana"),
        start_replay(bare, Asked(write, "replay", "ana", "::1", {}), order, "ana", 0),
    ]
    with pytest.raises(AssayError, match="ana sends dead letters back"):
        start_redrive(bare, Asked(write, "redrive", "bo", "::1", {}), "events", Wanted(), "bo")
    with pytest.raises(AssayError, match="ana replays a range"):
        start_replay(bare, Asked(write, "replay", "bo", "::1", {}), order, "bo", 0)
    go.set()
    for job in jobs:
        job.settle(30.0)
    assert [(job.state, job.error) for job in jobs] == [("failed", "enough")] * 2
    assert sorted(told) == ["redrive", "replay"]
    bare.jobs.close()
