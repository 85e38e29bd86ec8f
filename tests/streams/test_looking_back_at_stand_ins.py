"""Whoever looks back at the last good model or the rules comes to the same bytes, and is told who decided."""

from functools import cache
from typing import Any

import msgspec
import pytest

from features.errors import AssayError
from features.store import MemoryStore
from streams.explain import Explanation, explain, witness
from streams.explain_text import explanation_text
from streams.log import LogRecord
from streams.log_range import PartitionRange
from streams.model_in_force import ModelInForce
from streams.partition import Partition
from streams.replay import replay
from streams.replay_changes import AS_RECORDED, Override
from streams.signature import everybody
from streams.time_machine import TimeMachine
from tests.streams.histories import ListHistory
from tests.streams.logs import START_MS, breaker_marker, model_marker, payment, records
from tests.streams.replays import MemoryOut, decoded
from tests.streams.test_engine_stand_ins import FIRST, LOG, NAMES, RULED, SECOND, open_model, who_decides
from tests.streams.test_verify import altered, published_of, verified


def machine(log: list[LogRecord] = LOG, opens: Any = open_model) -> TimeMachine:
    return TimeMachine(ListHistory({0: log}), None, open_model(FIRST), opens, everybody)


@cache
def given() -> dict[int, bytes]:
    """What an undisturbed engine gives for the log, by offset."""
    partition = Partition(0, MemoryStore(), open_model(FIRST), open_model)
    values = [verdict.value for verdict in partition.fold(LOG, everybody).verdicts]
    return {decoded(value).at.offset: value for value in values}


def judged_under(action: str) -> int:
    """The offset of a verdict under this action, with reasons, well inside its stretch."""
    stands = who_decides(LOG)
    return next(
        offset
        for offset, value in given().items()
        if offset > 60
        and all(stands[offset - back].breaker == action for back in range(5))
        and (action != "last_good_model" or stands[offset].last_good not in (None, stands[offset].model))
        and [reason for reason in decoded(value).reasons if reason.code != "RUL02"]
    )


@pytest.mark.parametrize("start", [0, judged_under("last_good_model"), judged_under("rules_only")])
def test_a_replay_gives_the_same_bytes_also_from_amidst(start: int) -> None:
    out = MemoryOut()
    replay(machine(), [PartitionRange(0, start, LOG[-1].offset + 1)], AS_RECORDED, [out])
    assert out.values == [value for offset, value in given().items() if offset >= start]


def test_another_policy_is_that_of_the_stand_in_and_of_the_rules_too() -> None:
    policy = msgspec.structs.replace(RULED, anomaly_step_up_at=0.99)
    for action in ("last_good_model", "rules_only"):
        start, out = judged_under(action), MemoryOut()
        replay(machine(), [PartitionRange(0, start, start + 1)], Override(policy=policy), [out])
        (verdict,) = map(decoded, out.values)
        before = decoded(given()[start])
        assert (verdict.policy, verdict.model) == (policy.policy_id, before.model)
        assert verdict.flags == before.flags


def test_another_model_decides_as_if_the_breaker_were_closed() -> None:
    model, start = open_model(SECOND), judged_under("last_good_model")
    out = MemoryOut()
    summary = replay(machine(), [PartitionRange(0, start, LOG[-1].offset + 1)], Override(model), [out])
    found = [decoded(value) for value in out.values]
    assert {(verdict.model, verdict.score is None) for verdict in found} == {(SECOND[:16], False)}
    assert not any("degraded" in verdict.flags for verdict in found)
    assert summary.markers_passed_over > 5


def test_every_verdict_verifies_and_one_that_names_another_model_or_a_score_does_not() -> None:
    published = published_of(0, LOG, open_model, first=open_model(FIRST))
    assert [check for check in verified(machine(), published).checks if check.status != "equal"] == []
    by_offset = {decoded(one.value).at.offset: one for one in published}
    stands = who_decides(LOG)
    stood_in, ruled = judged_under("last_good_model"), judged_under("rules_only")
    lies: list[tuple[int, list[Any], Any]] = [
        (stood_in, ["model"], stands[stood_in].model[:16]),
        (ruled, ["score"], 0.5),
        (ruled, ["flags"], ["degraded"]),
        (ruled, ["expected_loss_minor"], 0),
    ]
    for offset, path, value in lies:
        (check,) = verified(machine(), [altered(by_offset[offset], path, value)]).checks
        assert check.status == "differs", path


def test_a_stand_in_that_is_not_here_is_no_accusation() -> None:
    newest = NAMES[2]
    log = records(
        [
            model_marker(1, SECOND, START_MS),
            model_marker(2, newest, START_MS),
            breaker_marker(3, "last_good_model", START_MS),
            payment(4, "a1", START_MS, amount_minor=90_000),
        ]
    )

    def poor(model_id: str) -> ModelInForce:
        if model_id != newest:
            raise AssayError(f"model {model_id}: there is none")
        return open_model(model_id)

    published = published_of(0, log, open_model, first=open_model(FIRST))
    assert decoded(published[0].value).model == SECOND[:16]
    (here,) = Partition(0, MemoryStore(), open_model(FIRST), poor).fold(log, everybody).verdicts
    assert decoded(here.value).model == newest[:16]
    (check,) = verified(machine(log, poor), published).checks
    assert check.status == "not_recomputable"
    assert "models.directory" in check.why


def told_at(offset: int) -> Explanation:
    told = explain(witness(machine(), 0, offset))
    assert bytes(told.verdict or b"") == given().get(offset, b"")
    return told


def test_an_explanation_names_the_model_that_stood_in() -> None:
    offset = judged_under("last_good_model")
    told, verdict = told_at(offset), decoded(given()[offset])
    assert told.model == who_decides(LOG)[offset].last_good
    assert told.scores is not None
    assert told.costs is not None
    assert (told.scores.score, told.costs.decision, told.rules) == (verdict.score, verdict.decision, None)
    assert "  the breaker is open (last_good_model): this model decides in place of the one that the log asks for" in (
        list(explanation_text(told))
    )


def test_an_explanation_holds_every_rule_against_the_event() -> None:
    offset = judged_under("rules_only")
    told, verdict = told_at(offset), decoded(given()[offset])
    assert (told.scores, told.costs) == (None, None)
    assert told.rules is not None
    assert told.rules.decision == verdict.decision
    text = "\n".join(explanation_text(told))
    assert "RULES of the policy: the breaker is open (rules_only), no score counted" in text
    (matched,) = [line for line in told.rules.rules if line.decided]
    assert f"(rule: {matched.rule})" in verdict.reasons[0].text
    assert matched.value == verdict.reasons[0].value
    assert matched.rule in text


@pytest.mark.parametrize(
    ("action", "text"),
    [
        ("rules_only", "open, and the rules of the policy decide, without a score"),
        ("last_good_model", "open, and the last good model "),
    ],
)
def test_the_explanation_of_a_marker_says_who_decides_from_there_on(action: str, text: str) -> None:
    stands, needle = who_decides(LOG), f'"value":"{action}"'.encode()
    marker = next(
        record.offset for record in LOG if needle in (record.value or b"") and stands[record.offset].last_good
    )
    assert explain(witness(machine(), 0, marker)).said.startswith(f"from here on the breaker is {text}")
