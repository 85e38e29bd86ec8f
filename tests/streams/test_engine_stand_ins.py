"""The last good model and the rules decide where the log says so, and how the log is cut never shows.

The oracle reads the log without the engine: who decides at each offset, and from the features as served what that is.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import jsonschema
import msgspec
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from features.catalogue import FEATURES
from features.errors import AssayError
from features.store import MemoryStore
from models.decision import OUTCOMES, decide
from models.detector import DetectorSpec
from models.rules import AMOUNT, Rule, Rules, RulesOfKind
from models.ruling import decide_by_rules
from models.substitution import substituted
from models.summary import Counts
from streams.log import LogRecord, Output
from streams.model_in_force import ModelInForce
from streams.partition import ALWAYS, Partition
from streams.replay_changes import with_policy
from streams.schema import schema
from streams.signature import everybody
from tests.streams.logs import (
    START_MS,
    breaker_marker,
    mixed_log,
    model_marker,
    payment,
    records,
    with_breaker,
)
from tests.streams.small_model import WINDOW_ROWS, small_model
from tests.streams.test_engine import open_small, published
from tests.streams.test_engine_breaker import HARSH

FIRST, SECOND, ABSENT = small_model(1).id, small_model(2).id, "f" * 64
ACTIONS = ("step_up", *("last_good_model",) * 2, "rules_only", *("closed",) * 4, "no_such_action")
NAMES = tuple(64 * digit for digit in "12345678")
"""Further models: a model under which the breaker opened once is never good again, so a long log needs many."""
LOG = records(with_breaker(mixed_log(1_500, seed=14, model_ids=(*NAMES, ABSENT)), seed=3, choices=ACTIONS))
RULES = RulesOfKind(
    rules=(
        Rule(feature=AMOUNT, at_least=10_000, outcome="decline"),
        Rule(feature="account_payment_count_1h", at_least=2, outcome="review"),
        Rule(feature="account_device_is_new", below=1, outcome="approve"),
    ),
    otherwise="step_up",
)
RULED = msgspec.structs.replace(
    HARSH,
    anomaly_step_up_at=0.3,
    rules_only=Rules(payment=RULES, login=RulesOfKind(rules=(), otherwise="step_up"), application=RULES),
)
PLAIN = msgspec.structs.replace(HARSH, rules_only=UNSET, anomaly_step_up_at=0.3)


def open_model(model_id: str) -> ModelInForce:
    """Two small models, the second of another detector and another policy, without rules; even names are the first."""
    if model_id in NAMES:
        model = open_model((FIRST, SECOND)[int(model_id[0]) % 2])
        return replace(model, artefact=replace(model.artefact, id=model_id))
    model = open_small(model_id)
    if model_id == FIRST:
        return with_policy(model, RULED)
    manifest = model.artefact.manifest
    trained = manifest.detector
    names, limits = trained.names[::-1], trained.limits[::-1]
    detector = DetectorSpec(kind="tail_log_probability", names=names, limits=limits, window_size=WINDOW_ROWS)
    changed = replace(
        model,
        artefact=replace(model.artefact, manifest=msgspec.structs.replace(manifest, detector=detector)),
        detector_columns=model.detector_columns[::-1].copy(),
    )
    return with_policy(changed, PLAIN)


def partition(
    store: MemoryStore | None = None, opens: Callable[[str], ModelInForce] = open_model, **more: Any
) -> Partition:
    return Partition(3, MemoryStore() if store is None else store, open_model(FIRST), opens, **more)


def folded(log: list[LogRecord], cuts: list[int], fold: Partition | None = None) -> list[Output]:
    """Fold in batches that end at `cuts`."""
    fold = fold or partition()
    ends = sorted({*(cut % (len(log) + 1) for cut in cuts), len(log)})
    return [fold.fold(log[start:end], everybody) for start, end in zip([0, *ends], ends, strict=False)]


@cache
def at_once() -> list[Output]:
    return folded(LOG, [], partition(keep_features=True))


class Stands(NamedTuple):
    """Who decides at an offset, read off the log."""

    breaker: str
    model: str
    last_good: str | None
    degraded: bool


def who_decides(log: list[LogRecord]) -> dict[int, Stands]:
    breaker, asked, here, bad = "closed", [FIRST], FIRST, set()
    found = {}
    for record in log:
        if b'"marker":"model"' in (record.value or b""):
            asked.append(orjson.loads(record.value or b"")["value"])
            here = asked[-1] if asked[-1] != ABSENT else here
        elif b'"marker":"breaker"' in (record.value or b"") and b"no_such_action" not in (record.value or b""):
            breaker = orjson.loads(record.value or b"")["value"]
        if breaker != "closed":
            bad.add(asked[-1])
        good = [model for model in reversed(asked) if model != asked[-1] and model not in bad]
        found[record.offset] = Stands(breaker, here, good[0] if good else None, asked[-1] == ABSENT)
    return found


def expected(stands: Stands, row: np.ndarray, amount_minor: int, kind: int, anomaly: float) -> dict[str, Any]:
    """Score, decision, loss and who says so, from the features as served."""
    acts, model = stands.breaker, open_model(stands.model)
    if acts == "last_good_model":
        if stands.last_good in (None, ABSENT):
            acts = "step_up"
        else:
            model = open_model(str(stands.last_good))
    rows, amounts, kinds = row[None], np.array([amount_minor]), np.array([kind], dtype=np.uint8)
    flags = ["degraded"] if stands.degraded or stands.breaker != "closed" else []
    names = {"model": model.id[:16], "policy": model.artefact.policy_id[:16]}
    if acts == "rules_only":
        outcome = decide_by_rules(model.policy, FEATURES.index, rows, amounts, kinds).outcome[0]
        flags.append("rules_only")
        return {"score": None, "decision": OUTCOMES[outcome], "expected_loss_minor": None, "flags": flags, **names}
    score = model.scorer.score(rows)
    decided = decide(model.policy, score, np.array([anomaly]), amounts, kinds)
    in_force: Any = acts
    outcome = substituted(in_force, model.policy, decided.outcome, kinds)[0]
    loss = int(decided.expected_loss_minor[0])
    return {"score": score[0], "decision": OUTCOMES[outcome], "expected_loss_minor": loss, "flags": flags, **names}


def verdicts_of(outputs: list[Output]) -> list[dict[str, Any]]:
    return [orjson.loads(record.value) for output in outputs for record in output.verdicts]


def test_each_verdict_is_that_of_whom_the_log_puts_in_charge() -> None:
    stands, acted = who_decides(LOG), Counter[str]()
    judged = [segment for output in at_once() for segment in output.judged]
    rows = np.concatenate([segment.features for segment in judged])
    amounts = np.concatenate([segment.amount_base_minor for segment in judged])
    kinds = np.concatenate([segment.kind for segment in judged])
    verdicts = verdicts_of(at_once())
    assert len(verdicts) == len(rows)
    for verdict, row, amount_minor, kind in zip(verdicts, rows, amounts.tolist(), kinds.tolist(), strict=True):
        here = stands[verdict["at"]["offset"]]
        anomaly = np.nan if verdict["anomaly"] is None else verdict["anomaly"]
        wanted = expected(here, row, amount_minor, kind, anomaly)
        own = [flag for flag in verdict["flags"] if flag not in ("degraded", "rules_only")]
        assert {name: verdict[name] for name in wanted} == wanted | {"flags": [*own, *wanted["flags"]]}
        codes = {reason["code"] for reason in verdict["reasons"]}
        if here.breaker == "rules_only":
            assert codes <= {"RUL01", "RUL02"}
            assert bool(codes) == (verdict["decision"] != "approve")
        else:
            assert not codes & {"RUL01", "RUL02"}
        took_over = here.breaker == "last_good_model" and not verdict["model"].startswith(here.model[:16])
        acted["another model" if took_over else here.breaker] += 1
    assert min(acted[each] for each in ("another model", "last_good_model", "rules_only", "step_up", "closed")) > 20
    assert {verdict["decision"] for verdict in verdicts if verdict["score"] is None} == set(OUTCOMES)


def test_every_verdict_fits_its_schema() -> None:
    validator = jsonschema.Draft202012Validator(schema("verdict"))
    assert [error.message for verdict in verdicts_of(at_once()) for error in validator.iter_errors(verdict)] == []


def test_anomaly_and_learning_are_not_touched_by_who_decides() -> None:
    blank = [
        record._replace(value=b"no marker") if b'"marker":"breaker"' in (record.value or b"") else record
        for record in LOG
    ]
    mine, plain = verdicts_of(at_once()), verdicts_of(folded(blank, []))
    assert [verdict["anomaly"] for verdict in mine] == [verdict["anomaly"] for verdict in plain]
    assert len({verdict["anomaly"] for verdict in mine}) > 100


def unusual(verdicts: list[dict[str, Any]]) -> dict[int, list[tuple[str, float | None]]]:
    """Inputs of the detector that verdicts name, by offset; of those that the anomaly score turned into a step-up."""
    return {
        verdict["at"]["offset"]: [
            (one["feature"], one["value"]) for one in verdict["reasons"] if one["code"] == "ANO02"
        ]
        for verdict in verdicts
        if verdict["reasons"] and verdict["reasons"][0]["code"] == "ANO01"
    }


def test_a_stand_in_tells_of_the_detector_that_runs_and_not_of_its_own() -> None:
    """Oracle: the model whose detector runs, under the policy of the one that stands in."""
    head = [model_marker(1, SECOND, START_MS), breaker_marker(2, "last_good_model", START_MS)]
    tail = mixed_log(1_000, seed=5)
    found = unusual(verdicts_of([partition().fold(records([*head, *tail]), everybody)]))
    running = with_policy(open_model(SECOND), RULED)
    alone = Partition(3, MemoryStore(), running, lambda _: running)
    wanted = unusual(verdicts_of([alone.fold(records([b"-", b"-", *tail]), everybody)]))
    both = found.keys() & wanted.keys()
    assert len(both) > 5
    assert {offset: found[offset] for offset in both} == {offset: wanted[offset] for offset in both}
    assert sum(map(len, found.values())) > 5


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, len(LOG)), max_size=40))
def test_how_the_log_is_cut_never_shows(cuts: list[int]) -> None:
    assert published(folded(LOG, cuts)) == published(at_once())


@settings(max_examples=10, deadline=None)
@given(place=st.integers(1, len(LOG) - 1), silent=st.booleans())
def test_a_stored_state_goes_on_as_if_nothing_had_been(place: int, silent: bool) -> None:
    """Also after a stretch that was caught up with, without publishing."""
    store = MemoryStore()
    before = partition(store)
    before.fold(LOG[: place // 2], everybody)
    before.fold(LOG[place // 2 : place], everybody, publishing=not silent)
    before.checkpoint()
    after = partition(store)
    assert after.engine.standing == before.engine.standing
    assert after.engine.deciding.model.id == before.engine.deciding.model.id
    rest = verdicts_of(folded(LOG[place:], [], after))
    assert rest == [verdict for verdict in verdicts_of(at_once()) if verdict["at"]["offset"] >= place]


def test_a_fold_that_has_to_be_careful_comes_to_the_same() -> None:
    assert published(folded(LOG[:500], [90], partition(careful_until=ALWAYS))) == published(folded(LOG[:500], []))
    fold = partition()
    before, memory = fold.engine.standing, fold.engine.remember([])
    fold.fold(records([model_marker(1, SECOND, 0), breaker_marker(2, "last_good_model", 0)]), everybody)
    assert fold.engine.deciding.model.id == FIRST
    fold.engine.bring_back(memory, [])
    assert (fold.engine.standing, fold.engine.stand_in) == (before, None)


def test_telemetry_counts_what_the_model_that_the_log_asks_for_would_decide() -> None:
    total = sum(
        (
            counts.without_sample
            for output in folded(LOG, [500], partition(sample_one_in=8))
            for _, _, counts in output.counted
        ),
        Counts(),
    )
    blank = [
        record._replace(value=b"no marker") if b'"marker":"breaker"' in (record.value or b"") else record
        for record in LOG
    ]
    by_asked = Counter(verdict["decision"] for verdict in verdicts_of(folded(blank, [])))
    verdicts = verdicts_of(at_once())
    told = Counter(verdict["decision"] for verdict in verdicts)
    assert total.decisions == tuple(by_asked[name] for name in OUTCOMES)
    assert total.published == tuple(told[name] for name in OUTCOMES)
    assert total.published != total.decisions
    assert total.scored == total.verdicts == len(verdicts)
    assert total.flags["rules_only"] == sum("rules_only" in verdict["flags"] for verdict in verdicts)
    assert total.flags["degraded"] == sum("degraded" in verdict["flags"] for verdict in verdicts)
    assert total.without_model < total.flags["degraded"]


def test_history_and_outcomes_have_no_score_where_none_counted() -> None:
    told = {verdict["at"]["offset"]: verdict for verdict in verdicts_of(at_once())}
    outcomes = [orjson.loads(record.value)["judged"] for output in at_once() for record in output.outcomes]
    judged = [one for one in outcomes if one is not None and one["decision"] is not None]
    for one in judged:
        verdict = told[one["offset"]]
        assert (one["decision"], one["score"], one["anomaly"]) == (
            verdict["decision"],
            verdict["score"],
            verdict["anomaly"],
        )
    assert any(one["score"] is None for one in judged)
    assert any(one["score"] is not None for one in judged)


GOLDEN = (
    b'{"event_id":"p2","account_id":"a1","time_ms":1750000000000,"decision":"decline","score":null,"anomaly":null,'
    b'"expected_loss_minor":null,"reasons":[{"code":"RUL01","feature":"amount_minor","value":90000.0,"baseline":null,'
    b'"contribution":0.0,"text":"amount 900.00 EUR (rule: amount_minor at least 10000)"}],"model":"%s","policy":"%s",'
    b'"at":{"partition":3,"offset":1,"entities_offset":-1},"flags":["cold_start","degraded","rules_only"],"schema":1}'
)


def test_the_bytes_of_a_verdict_by_rules() -> None:
    log = records([breaker_marker(1, "rules_only", START_MS), payment(2, "a1", START_MS, amount_minor=90_000)])
    (verdict,) = partition().fold(log, everybody).verdicts
    names = (FIRST[:16].encode(), open_model(FIRST).artefact.policy_id[:16].encode())
    assert verdict.value == GOLDEN % names


def test_a_policy_without_rules_asks_for_a_step_up_and_approves_nothing() -> None:
    log = [model_marker(1, SECOND, START_MS), breaker_marker(2, "rules_only", START_MS)]
    log += [payment(3 + number, f"a{number}", START_MS + number, amount_minor=number) for number in range(20)]
    verdicts = verdicts_of([partition().fold(records(log), everybody)])
    assert {verdict["decision"] for verdict in verdicts} == {"step_up"}
    assert {reason["code"] for verdict in verdicts for reason in verdict["reasons"]} == {"RUL02"}


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "last good model" in record.getMessage()]


def test_without_a_good_model_a_step_up_takes_its_place_and_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    log = [breaker_marker(1, "last_good_model", START_MS)]
    log += [payment(2 + number, "a1", START_MS + number, amount_minor=900_000) for number in range(30)]
    fold = partition()
    with caplog.at_level(logging.WARNING, "assay.partition"):
        verdicts = verdicts_of(folded(records(log), [1, 5, 9], fold))
    assert {verdict["decision"] for verdict in verdicts} <= {"approve", "step_up"}
    assert "step_up" in {verdict["decision"] for verdict in verdicts}
    assert {tuple(verdict["flags"][-1:]) for verdict in verdicts} == {("degraded",)}
    assert not fold.engine.lacks_model
    (text,) = said(caplog)
    assert "the log knows of none, so a step-up takes the place" in text


def test_a_good_model_that_cannot_be_opened_is_replaced_by_a_step_up_until_a_marker_asks_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    here = {SECOND}

    def poor(model_id: str) -> ModelInForce:
        if model_id not in here:
            raise AssayError(f"model {model_id}: there is none")
        return open_model(model_id)

    store = MemoryStore()
    fold = partition(store, poor)
    log = records(
        [
            model_marker(1, SECOND, START_MS),
            breaker_marker(2, "last_good_model", START_MS),
            payment(3, "a1", START_MS + 1),
            breaker_marker(7, "no_such_action", START_MS),
            payment(4, "a1", START_MS + 2),
            breaker_marker(5, "last_good_model", START_MS),
            payment(6, "a1", START_MS + 3),
        ]
    )
    with caplog.at_level(logging.WARNING, "assay.partition"):
        outputs = [fold.fold(log[start:end], everybody) for start, end in ((0, 1), (1, 3), (3, 5))]
    assert {verdict["model"] for verdict in verdicts_of(outputs)} == {SECOND[:16]}
    assert all("degraded" in verdict["flags"] for verdict in verdicts_of(outputs))
    assert fold.engine.lacks_model
    (text,) = said(caplog)
    assert FIRST[:16] in text
    here.add(FIRST)
    fold.checkpoint()
    fold = partition(store, poor)
    assert fold.engine.lacks_model, "what was decided holds until a marker asks again, also over a restart"
    (verdict,) = verdicts_of([fold.fold(log[5:], everybody)])
    assert verdict["model"] == FIRST[:16]
    fold.checkpoint()
    here.remove(FIRST)
    again = partition(store, poor)
    assert again.engine.lacks_model, "a model that is gone at the restart does not keep the partition from starting"
    assert again.engine.deciding.acts == "step_up"


def test_a_payment_that_rules_let_pass_has_no_reasons() -> None:
    log = [payment(1, "a1", START_MS, device_id="d1"), breaker_marker(2, "rules_only", START_MS)]
    log.append(payment(3, "a1", START_MS + 9 * 3_600_000, device_id="d1"))
    verdict = verdicts_of([partition().fold(records(log), everybody)])[-1]
    assert (verdict["decision"], verdict["reasons"], verdict["score"]) == ("approve", [], None)
    assert verdict["flags"] == ["degraded", "rules_only"]
