"""A record that breaks the fold ends alone in the dead letters; everything else is as if it had never come."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import AssayError
from features.keys import Texts, key_at
from features.store import MemoryStore
from streams import engine as engine_module
from streams.careful import UnprocessableError
from streams.engine import Engine
from streams.log import LogRecord, Output
from streams.partition import ALWAYS, Partition
from streams.signature import everybody
from tests.streams.logs import mixed_log, records
from tests.streams.scoring import rows, scored
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small

Broken = Callable[[pytest.MonkeyPatch, set[str]], None]


def breaking_the_state(patch: pytest.MonkeyPatch, event_ids: set[str]) -> None:
    """The state cannot take these events: raised after accounts and detector of the whole batch have changed."""
    score = Engine._score

    def broken(self: Engine, segment: Any) -> Any:
        scores = score(self, segment)
        if any(segment.batch.event_id(row) in event_ids for row in segment.rows.tolist()):
            raise ValueError("no number")
        return scores

    patch.setattr(Engine, "_score", broken)


def breaking_the_verdict(patch: pytest.MonkeyPatch, event_ids: set[str]) -> None:
    """No verdict can be made of these events, the state takes them."""
    write = engine_module.verdict_bytes

    def broken(common: Any, decisions: int, texts: Texts, *others: Any) -> Any:
        if any(key_at(texts, place).decode() in event_ids for place in range(len(texts.start))):
            raise OverflowError("no text")
        return write(common, decisions, texts, *others)

    patch.setattr(engine_module, "verdict_bytes", broken)


def new_partition(careful_until: int = ALWAYS) -> Partition:
    return Partition(0, MemoryStore(), small_model(), open_small, careful_until=careful_until)


def fold(partition: Partition, log: Sequence[LogRecord], batch: int, *, publishing: bool = True) -> list[Output]:
    return [
        partition.fold(log[start : start + batch], everybody, publishing=publishing)
        for start in range(0, len(log), batch)
    ]


def verdicts(outputs: Sequence[Output]) -> list[bytes]:
    return [record.value for output in outputs for record in output.verdicts]


def poisoned(outputs: Sequence[Output], log: Sequence[LogRecord], batch: int) -> list[int]:
    """Offsets of the records that were set aside as poison."""
    return [
        log[number * batch + item.place].offset
        for number, output in enumerate(outputs)
        for item in output.set_aside
        if item.error.code == "poison"
    ]


def state_of(partition: Partition) -> tuple[dict[str, bytes], bytes, bytes, int]:
    partition.checkpoint()
    store = partition._store
    engine = partition.engine
    return dict(store.accounts()), engine.detector.state(), engine.links.state(), partition.next_offset


def judged_offsets(log: Sequence[LogRecord]) -> list[int]:
    """Offsets of events that are judged, of which every event id occurs once."""
    found = [orjson.loads(value)["at"]["offset"] for value in verdicts(fold(new_partition(), log, len(log)))]
    ids: dict[str, int] = {}
    for record in log:
        if record.offset in found:
            event_id = orjson.loads(record.value or b"")["event_id"]
            ids[event_id] = ids.get(event_id, 0) + 1
    repeated = [record.offset for record in log if b"event_id" in (record.value or b"") and _is_repeated(record, ids)]
    return [offset for offset in found if offset not in repeated]


def _is_repeated(record: LogRecord, ids: dict[str, int]) -> bool:
    try:
        return ids.get(orjson.loads(record.value or b"").get("event_id"), 0) > 1
    except orjson.JSONDecodeError:
        return False


def event_ids(log: Sequence[LogRecord], offsets: Sequence[int]) -> set[str]:
    return {orjson.loads(log[offset].value or b"")["event_id"] for offset in offsets}


LOG = records(mixed_log(180, seed=77, model_ids=(small_model(2).id, small_model(1).id)))
JUDGED = judged_offsets(LOG)


@settings(max_examples=20)
@given(st.sets(st.sampled_from(JUDGED), max_size=4), st.sampled_from([1, 13, 60, len(LOG)]))
def test_what_the_state_cannot_take_leaves_no_trace(offsets: set[int], batch: int) -> None:
    """The log without these records, at the same offsets, gives the same verdicts and the same state."""
    bad = event_ids(LOG, sorted(offsets))
    without = [record for record in LOG if not _holds(record, bad)]
    clean = new_partition()
    expected = verdicts(fold(clean, without, batch))
    with pytest.MonkeyPatch.context() as patch:
        breaking_the_state(patch, bad)
        partition = new_partition()
        outputs = fold(partition, LOG, batch)
    assert verdicts(outputs) == expected
    assert set(poisoned(outputs, LOG, batch)) >= offsets
    assert state_of(partition)[:3] == state_of(clean)[:3]
    assert partition.next_offset == len(LOG)


def _holds(record: LogRecord, event_ids: set[str]) -> bool:
    try:
        return orjson.loads(record.value or b"")["event_id"] in event_ids
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False


@pytest.mark.parametrize("broken", [breaking_the_state, breaking_the_verdict])
@pytest.mark.parametrize("batch", [1, 31, len(LOG)])
def test_the_state_is_the_same_whether_records_were_published_or_not(
    monkeypatch: pytest.MonkeyPatch, broken: Broken, batch: int
) -> None:
    broken(monkeypatch, event_ids(LOG, JUDGED[20:23]))
    loud, quiet = new_partition(), new_partition()
    outputs = fold(loud, LOG, batch)
    fold(quiet, LOG, 40, publishing=False)
    assert set(poisoned(outputs, LOG, batch)) >= set(JUDGED[20:23])
    assert state_of(loud) == state_of(quiet)


def test_a_verdict_that_cannot_be_made_is_the_only_one_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = verdicts(fold(new_partition(), LOG, 50))
    bad = JUDGED[30]
    breaking_the_verdict(monkeypatch, event_ids(LOG, [bad]))
    outputs = fold(new_partition(), LOG, 50)
    assert poisoned(outputs, LOG, 50) == [bad]
    assert verdicts(outputs) == [value for value in whole if orjson.loads(value)["at"]["offset"] != bad]


def test_beyond_where_it_is_careful_a_partition_says_which_batch_it_cannot_fold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    breaking_the_state(monkeypatch, event_ids(LOG, [JUDGED[40]]))
    partition = new_partition(careful_until=0)
    with pytest.raises(UnprocessableError) as raised:
        partition.fold(LOG[:100], everybody)
    assert (raised.value.partition, raised.value.end) == (0, 100)
    again = new_partition(careful_until=raised.value.end)
    outputs = fold(again, LOG[:100], 100)
    assert poisoned(outputs, LOG, 100) == [JUDGED[40]]


def test_trouble_outside_is_no_record_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(*_: object) -> list[bytes | None]:
        raise AssayError("the disk is gone")

    partition = new_partition()
    monkeypatch.setattr(MemoryStore, "get_accounts", unreadable)
    with pytest.raises(AssayError, match="disk"):
        partition.fold(LOG, everybody)


def test_the_reason_names_the_place_in_our_code_and_nothing_of_the_record(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad = event_ids(LOG, [JUDGED[5]])
    breaking_the_state(monkeypatch, bad)
    outputs = fold(new_partition(), LOG[:60], 60)
    (error,) = [item.error for item in outputs[0].set_aside if item.error.code == "poison"]
    assert error.got.startswith("ValueError in test_careful.py:")
    said = error.got + error.expected + caplog.text
    assert "no number" not in said
    assert not any(event_id in said.split() for event_id in bad)


def test_a_file_is_scored_again_with_care(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = [record.value or b"" for record in LOG]
    whole = scored(log, tmp_path / "whole").verdicts.splitlines()
    bad = JUDGED[35]
    breaking_the_verdict(monkeypatch, event_ids(LOG, [bad]))
    with pytest.raises(AssayError, match="--careful"):
        scored(log, tmp_path / "poisoned", state=tmp_path / "state", batch_events=20)
    careful = scored(log, tmp_path / "poisoned", state=tmp_path / "state", batch_events=20, careful=True)
    assert careful.verdicts.splitlines() == [line for line in whole if orjson.loads(line)["at"]["offset"] != bad]
    assert [row["offset"] for row in rows(careful.dead_letters) if row["code"] == "poison"] == [bad]
