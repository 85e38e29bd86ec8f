"""A breaker marker takes effect at its record, in verdicts, state and counts, and however the log is cut."""

from collections import Counter

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.store import MemoryStore
from models.policy import Policy, Treatment
from models.summary import Counts
from streams.log import LogRecord, Output
from streams.model_in_force import ModelInForce
from streams.partition import ALWAYS, Partition
from streams.replay_changes import with_policy
from streams.signature import everybody, nobody
from tests.streams.logs import START_MS, breaker_marker, mixed_log, payment, records, with_breaker
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small, published

MODELS = (small_model(2).id, small_model(1).id, "f" * 64)
LOG = records(with_breaker(mixed_log(1_000, seed=5, model_ids=MODELS), seed=7))
MILDER = {"approve": "approve", "step_up": "step_up", "review": "step_up", "decline": "step_up"}


_PAYMENT = Policy.default().payment
_STEP_UP = Treatment(cost_minor=400, abandon_share=0.05, fraud_pass_share=0.15)
HARSH = msgspec.structs.replace(
    Policy.default(), payment=msgspec.structs.replace(_PAYMENT, insult_minor=500, step_up=_STEP_UP)
)


def open_harsh(model_id: str) -> ModelInForce:
    """The small models under a policy that gives every decision often."""
    return with_policy(open_small(model_id), HARSH)


def partition(store: MemoryStore | None = None, **more: int) -> Partition:
    first = open_harsh(small_model().id)
    return Partition(3, MemoryStore() if store is None else store, first, open_harsh, **more)


def folded(log: list[LogRecord], cuts: list[int], fold: Partition | None = None) -> list[Output]:
    """Fold in batches that end at `cuts`."""
    fold = fold or partition()
    ends = sorted({*(cut % (len(log) + 1) for cut in cuts), len(log)})
    return [fold.fold(log[start:end], everybody) for start, end in zip([0, *ends], ends, strict=False)]


def in_force(log: list[LogRecord]) -> dict[int, str]:
    """What the breaker says at each offset: read off the log, without the engine."""
    stands, found = "closed", {}
    for record in log:
        if b'"marker":"breaker"' in (record.value or b"") and b"no_such_action" not in (record.value or b""):
            stands = orjson.loads(record.value or b"")["value"]
        found[record.offset] = stands
    return found


def verdicts_of(outputs: list[Output]) -> list[dict[str, object]]:
    return [orjson.loads(record.value) for output in outputs for record in output.verdicts]


def test_verdicts_differ_from_those_without_markers_only_where_the_breaker_is_open() -> None:
    """The same log, once with the breaker's markers and once with rubbish in their places."""
    blank = [
        record._replace(value=b"no marker") if b'"marker":"breaker"' in (record.value or b"") else record
        for record in LOG
    ]
    stands, changed, decisions = in_force(LOG), 0, Counter[str]()
    pairs = zip(verdicts_of(folded(LOG, [])), verdicts_of(folded(blank, [])), strict=True)
    for verdict, by_model in pairs:
        decisions[str(by_model["decision"])] += 1
        if stands[verdict["at"]["offset"]] == "closed":  # type: ignore[index]
            assert verdict == by_model
            continue
        changed += verdict["decision"] != by_model["decision"]
        assert verdict["decision"] == MILDER[str(by_model["decision"])]
        assert isinstance(verdict["flags"], list)
        assert isinstance(by_model["flags"], list)
        assert verdict["flags"] == [*(flag for flag in by_model["flags"] if flag != "degraded"), "degraded"]
        same = [name for name in verdict if name not in ("decision", "flags")]
        assert [verdict[name] for name in same] == [by_model[name] for name in same]
    assert changed > 20
    assert decisions.keys() == {"approve", "step_up", "review", "decline"}
    assert set(stands.values()) == {"closed", "step_up"}


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(0, len(LOG)), max_size=40))
def test_how_the_log_is_cut_never_shows(cuts: list[int]) -> None:
    assert published(folded(LOG, cuts)) == published(folded(LOG, []))


@settings(max_examples=12, deadline=None)
@given(place=st.integers(1, len(LOG) - 1))
def test_the_stored_state_brings_the_breaker_back(place: int) -> None:
    store = MemoryStore()
    before = partition(store)
    outputs = folded(LOG[:place], [], before)
    before.checkpoint()
    after = partition(store)
    assert after.engine.breaker == before.engine.breaker == in_force(LOG)[LOG[place - 1].offset]
    outputs += folded(LOG[place:], [], after)
    assert published(outputs) == published(folded(LOG, []))


def test_a_fold_that_has_to_be_careful_comes_to_the_same() -> None:
    """Undoing half a batch brings the breaker back too."""
    memory = partition().engine.remember([])
    assert memory.standing.breaker == "closed"
    fold = partition(careful_until=ALWAYS)
    engine = fold.engine
    fold.fold(records([breaker_marker(1, "step_up", START_MS)]), everybody)
    engine.bring_back(memory, [])
    assert engine.breaker == "closed"
    assert published(folded(LOG[:400], [90], partition(careful_until=ALWAYS))) == published(folded(LOG[:400], []))


def test_counts_tell_what_the_model_decides_and_what_was_published() -> None:
    outputs = folded(LOG, [500, 900], partition(sample_one_in=8))
    total = sum((counts.without_sample for output in outputs for _, _, counts in output.counted), Counts())
    blank = [
        record._replace(value=b"no marker") if b'"marker":"breaker"' in (record.value or b"") else record
        for record in LOG
    ]
    by_model = Counter(str(verdict["decision"]) for verdict in verdicts_of(folded(blank, [])))
    told = Counter(str(verdict["decision"]) for verdict in verdicts_of(folded(LOG, [])))
    names = ("approve", "step_up", "review", "decline")
    assert total.decisions == tuple(by_model[name] for name in names)
    assert total.published == tuple(told[name] for name in names)
    assert total.published != total.decisions
    assert 0 < total.without_model < total.flags["degraded"] < total.verdicts


def test_a_marker_that_changes_nothing_is_harmless_and_one_nobody_knows_is_set_aside() -> None:
    log = [
        breaker_marker(1, "step_up", START_MS),
        breaker_marker(1, "step_up", START_MS),
        breaker_marker(2, "no_such_action", START_MS),
        payment(3, "a1", START_MS),
    ]
    fold = partition()
    output = fold.fold(records(log), everybody)
    assert output.kinds == {"marker": 2, "payment": 1}
    assert [(item.place, item.error.code, item.error.path) for item in output.set_aside] == [(2, "marker", "$.value")]
    assert output.set_aside[0].error.expected == "one of closed, step_up, last_good_model, rules_only"
    assert orjson.loads(output.verdicts[0].value)["flags"] == ["cold_start", "degraded"]


def test_strangers_do_not_open_it() -> None:
    fold = partition()
    output = fold.fold(records([breaker_marker(1, "step_up", START_MS)]), nobody)
    assert fold.engine.breaker == "closed"
    assert [item.error.code for item in output.set_aside] == ["not_authorized"]


@pytest.mark.parametrize("seed", [3, 4])
def test_what_happened_is_what_history_and_outcomes_tell(seed: int) -> None:
    """A label's outcome names the decision that was published, not the one that was replaced."""
    log = records(with_breaker(mixed_log(900, seed), seed))
    outputs = folded(log, [100])
    told = {verdict["at"]["offset"]: verdict["decision"] for verdict in verdicts_of(outputs)}  # type: ignore[index]
    outcomes = [orjson.loads(record.value)["judged"] for output in outputs for record in output.outcomes]
    judged = [one for one in outcomes if one is not None and one["decision"] is not None]
    assert len(judged) > 5
    assert all(one["decision"] == told[one["offset"]] for one in judged)
