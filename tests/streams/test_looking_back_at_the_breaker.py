"""Whoever computes a verdict again while the breaker was open comes to the same bytes, and says why it was decided."""

from functools import cache

import msgspec
import pytest

from features.errors import AssayError
from features.records import Verdict
from features.store import MemoryStore
from streams.diff_causes import Causes, KnownModels
from streams.explain import explain, witness
from streams.explain_text import explanation_text
from streams.log import LogRecord
from streams.log_range import PartitionRange
from streams.model_in_force import ModelInForce
from streams.partition import Partition
from streams.replay import replay
from streams.replay_changes import AS_RECORDED, Override, with_policy
from streams.signature import everybody
from streams.time_machine import TimeMachine
from streams.verdict_diff import Judgement, Pair
from tests.streams.histories import ListHistory
from tests.streams.logs import START_MS, breaker_marker, model_marker, payment, records
from tests.streams.replays import MemoryOut, decoded
from tests.streams.small_model import small_model
from tests.streams.test_engine_breaker import HARSH, LOG, in_force, open_harsh
from tests.streams.test_verify import altered, published_of, verified


def machine(log: list[LogRecord] = LOG) -> TimeMachine:
    return TimeMachine(ListHistory({0: log}), None, open_harsh(small_model().id), open_harsh, everybody)


@cache
def given() -> list[bytes]:
    """What an undisturbed engine gives for the log."""
    partition = Partition(0, MemoryStore(), open_harsh(small_model().id), open_harsh)
    return [verdict.value for verdict in partition.fold(LOG, everybody).verdicts]


def replayed(override: Override, start: int) -> list[bytes]:
    out = MemoryOut()
    replay(machine(), [PartitionRange(0, start, LOG[-1].offset + 1)], override, [out])
    return out.values


def open_at() -> int:
    """An offset in the midst of a stretch in which the breaker is open."""
    stands = in_force(LOG)
    return next(at for at in range(100, len(LOG)) if all(stands[at + i] == "step_up" for i in range(-5, 30)))


@pytest.mark.parametrize("start", [0, 400, open_at()])
def test_a_replay_gives_the_same_bytes_also_from_amidst(start: int) -> None:
    assert replayed(AS_RECORDED, start) == [value for value in given() if decoded(value).at.offset >= start]


def test_another_policy_is_asked_under_the_breaker_as_it_was() -> None:
    policy = msgspec.structs.replace(HARSH, anomaly_step_up_at=0.99)
    stands = in_force(LOG)
    found = [decoded(value) for value in replayed(Override(None, policy), open_at())]
    for verdict in found:
        is_open = stands[verdict.at.offset] == "step_up"
        assert not is_open or ("degraded" in verdict.flags and verdict.decision in ("approve", "step_up"))
    assert "decline" in {verdict.decision for verdict in found}


def test_another_model_is_asked_as_if_the_breaker_were_closed() -> None:
    """It opened because of the model that was there. Oracle: a log that closes it there, and has no marker after."""
    start, model = 3 * open_at(), open_harsh(small_model(2).id)
    log = [record._replace(offset=3 * record.offset) for record in LOG]
    closed = [
        record._replace(value=b"no marker")
        if record.offset >= start and b'"marker"' in (record.value or b"")
        else record
        for record in log
    ]
    place = open_at()
    closed[place:place] = [
        LogRecord(start - 2, breaker_marker(1, "closed", START_MS)),
        LogRecord(start - 1, model_marker(2, model.id, START_MS)),
    ]
    oracle = Partition(0, MemoryStore(), open_harsh(small_model().id), open_harsh).fold(closed, everybody)
    out = MemoryOut()
    summary = replay(machine(log), [PartitionRange(0, start, log[-1].offset + 1)], Override(model), [out])
    assert out.values == [one.value for one in oracle.verdicts if decoded(one.value).at.offset >= start]
    assert summary.markers_passed_over > 5
    assert "decline" in {decoded(value).decision for value in out.values}


def test_every_verdict_verifies_and_one_that_hides_the_breaker_does_not() -> None:
    published = published_of(0, LOG, open_harsh, first=open_harsh(small_model().id))
    report = verified(machine(), published)
    assert [check for check in report.checks if check.status != "equal"] == []
    under = next(one for one in published if decoded(one.value).at.offset > open_at())
    for path, value in ((["decision"], "decline"), (["flags"], []), (["model"], "0" * 16)):
        (check,) = verified(machine(), [altered(under, path, value)]).checks
        assert check.status == "differs", path


def test_a_model_that_is_not_here_is_no_accusation_while_the_breaker_is_open() -> None:
    log = records(
        [
            payment(0, "a1", START_MS),
            breaker_marker(1, "step_up", START_MS),
            model_marker(2, small_model(2).id, START_MS),
            payment(3, "a1", START_MS + 5),
        ]
    )

    def poor(model_id: str) -> ModelInForce:
        raise AssayError(f"model {model_id}: there is none")

    here = TimeMachine(ListHistory({0: log}), None, small_model(), poor, everybody)
    first, second = verified(here, published_of(0, log)).checks
    assert (first.status, second.status) == ("equal", "not_recomputable")
    assert "models.directory" in second.why


def test_an_explanation_says_what_the_breaker_made_of_the_decision() -> None:
    stands = in_force(LOG)
    verdicts = {decoded(value).at.offset: decoded(value) for value in given()}
    turned = None
    for offset in sorted(verdicts):
        if stands[offset] == "step_up" and offset > open_at():
            told = explain(witness(machine(), 0, offset))
            assert told.costs is not None
            assert told.costs.decision == verdicts[offset].decision
            if told.costs.by_model != told.costs.decision:
                turned = told
                break
    assert turned is not None
    assert turned.costs is not None
    lines = list(explanation_text(turned))
    assert f"  the breaker is open (step_up): {turned.costs.by_model} of the model became step_up" in lines
    assert bytes(turned.verdict or b"") in given()
    marker = next(record.offset for record in LOG if b'"value":"step_up"' in (record.value or b""))
    said = explain(witness(machine(), 0, marker)).said
    assert said == "from here on the breaker is open, and a step-up takes the place of reviews and declines"


def test_a_decision_of_the_breaker_has_no_score_at_which_it_turns() -> None:
    log = records([payment(0, "a1", START_MS, amount_minor=90_000_00, currency="EUR")])
    model = small_model()
    policy = msgspec.structs.replace(
        model.policy, payment=msgspec.structs.replace(model.policy.payment, insult_minor=0, margin=0.0)
    )
    judged: list[Verdict] = []
    for before in ([], [breaker_marker(9, "step_up", START_MS)]):
        partition = Partition(0, MemoryStore(), with_policy(model, policy), lambda _: model)
        outputs = [partition.fold(records([*before, log[0].value or b""]), everybody)]
        judged.append(decoded(outputs[0].verdicts[0].value))
    assert [verdict.decision for verdict in judged] == ["decline", "step_up"]
    pair = Pair(*(Judgement(verdict.at.offset, msgspec.json.encode(verdict)) for verdict in judged))
    changed = Causes(KnownModels(lambda _: model, [model], [policy])).changed(pair, log[0], 0, {})
    assert changed.before is not None
    assert changed.after is not None
    assert changed.before.threshold is not None
    assert changed.after.threshold is None
