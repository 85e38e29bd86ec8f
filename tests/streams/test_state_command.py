"""`assay state`: look, check, store, bring back and make anew, as on-call does it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from features.packing import hash_text, unpack
from features.rocks_store import RocksStore
from streams.broker import RunningBroker
from streams.topic_identity import topic_id_value
from tests.streams.command_line import Finished, assay, fails_with
from tests.streams.logs import keyed, mixed_log
from tests.streams.small_model import small_model
from tests.streams.states import NUMBER, content_of, fold, open_partition
from tests.streams.test_worker import PARTITIONS, expected_of, topics_of, total
from tests.streams.workers import environment, produce, read_all, stop, worker

NAME = f"fraud.events-{NUMBER}"


@pytest.fixture
def states(tmp_path: Path) -> Path:
    """A directory of states with one partition at rest at offset 400."""
    store = RocksStore(tmp_path / "states" / NAME)
    partition = open_partition(store)
    fold(partition, 0, 400)
    partition.checkpoint()
    store.close()
    return tmp_path / "states"


def advance(states: Path, end: int) -> None:
    partition = open_partition(RocksStore(states / NAME))
    fold(partition, partition.next_offset, end)
    partition.checkpoint()
    partition.close()


@contextmanager
def held(states: Path) -> Iterator[RocksStore]:
    store = RocksStore(states / NAME)
    yield store
    store.close()


def state(states: Path, command: str, *arguments: object) -> Finished:
    """`assay state` with directory and store; the store is beside the states."""
    options = ("--state", states, "--snapshots", states.parent / "store")
    return assay("state", command, *options, *arguments)


def restore(states: Path, *arguments: object) -> Finished:
    """`assay state restore`; these states were made from no topic of Kafka."""
    return state(states, "restore", "--partition", NUMBER, "--topic-id", "", *arguments)


def rows(finished: Finished) -> list[dict[str, Any]]:
    assert finished.code in (0, 1), finished
    return [orjson.loads(line) for line in finished.output.splitlines()]


def flip_a_table(directory: Path) -> None:
    """Damage the middle of the largest table."""
    path = max(directory.glob("*.sst"), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def test_info_tells_where_states_and_snapshots_stand_while_a_worker_runs(states: Path) -> None:
    assert state(states, "snapshot").code == 0
    advance(states, 500)
    with held(states):
        (row,) = rows(state(states, "info", "--json"))
        line = state(states, "info").output.decode()
    found = row["state"]
    assert row["partition"] == NUMBER
    assert row["damage"] is None
    assert (found["next_offset"], found["first_model"]) == (500, small_model().id)
    assert found["model"] in (small_model(1).id, small_model(2).id)
    accounts = len(content_of(states / NAME).accounts)
    assert found["accounts_estimated"] >= accounts > 10
    assert found["bytes"] > 1_000
    assert [one["next_offset"] for one in row["snapshots"]] == [400]
    assert row["snapshots"][0]["taken_ms"] > 0
    assert (found["topic_id"], row["snapshots"][0]["topic_id"]) == ("", "")
    assert f"partition {NUMBER}: at 500" in line
    assert "1 snapshots, the newest at 400" in line


def test_info_shows_partitions_that_are_only_in_the_store_and_those_that_cannot_be_opened(states: Path) -> None:
    assert state(states, "snapshot").code == 0
    (states / NAME).rename(states / "fraud.events-5")
    (states / "fraud.events-5" / "CURRENT").write_bytes(b"")
    finished = state(states, "info", "--json")
    assert finished.code == 1
    stored, damaged = rows(finished)
    assert (stored["partition"], stored["state"], len(stored["snapshots"])) == (NUMBER, None, 1)
    assert (damaged["partition"], damaged["state"]) == (5, None)
    assert "damaged" in damaged["damage"]
    assert b"no state here; 1 snapshots" in state(states, "info").output


def test_what_is_of_another_topic_of_that_name_is_told_by_its_id(states: Path, tmp_path: Path) -> None:
    """Three at 400 in one store: of two topics and of none; the state here is that of the second."""
    one, other = "8k-athHsTQuB79KXk46wbw", "KfhwaOnVuB5rpcfDbsvs6A"
    assert state(states, "snapshot").code == 0
    for topic_id in (one, other):
        with held(states) as store:
            store.write([], topic_id_value(topic_id))
        assert state(states, "snapshot").code == 0
    (row,) = rows(state(states, "info", "--json"))
    assert row["state"]["topic_id"] == other
    assert sorted((found["topic_id"], found["next_offset"]) for found in row["snapshots"]) == [
        ("", 400),
        (one, 400),
        (other, 400),
    ]
    assert (
        state(states, "info")
        .output.decode()
        .endswith(
            "; 1 snapshots, the newest at 400"
            "; 1 snapshots, the newest at 400 (of another log: no topic of Kafka)"
            f"; 1 snapshots, the newest at 400 (of another log: topic id {one})\n"
        )
    )
    verified = state(states, "verify", "--all-snapshots")
    assert verified.code == 0
    for words in (f"(topic id {one})", f"(topic id {other})", "(no topic of Kafka)"):
        assert verified.output.decode().count(f"snapshot at 400 {words}: whole") == 1
    elsewhere = ("--state", tmp_path / "new", "--snapshots", tmp_path / "store", "--partition", NUMBER)
    refused = assay("state", "restore", "--topic-id", "x" * 22, *elsewhere)
    assert (refused.code, refused.output) == (1, b"")
    passed_over, told = refused.errors.splitlines()
    assert f"topic id {one}, topic id {other}, no topic of Kafka); they are passed over" in passed_over
    assert "no snapshot of this topic" in told
    assert not (tmp_path / "new" / NAME).exists()
    assert assay("state", "restore", "--topic-id", one, *elsewhere).code == 0
    assert content_of(tmp_path / "new" / NAME).values["topic_id"] == one.encode()


def test_nothing_anywhere_is_nothing_to_show(tmp_path: Path) -> None:
    for command in ("info", "verify"):
        assert assay("state", command, "--state", tmp_path / "none") == Finished(0, b"", "")
    assert not (tmp_path / "none").exists()


def test_verify_counts_everything_while_a_worker_runs(states: Path) -> None:
    content = content_of(states / NAME)
    with held(states):
        finished = state(states, "verify", "--json")
    (row,) = rows(finished)
    assert finished.code == 0
    assert row["state"] == {
        "next_offset": 400,
        "accounts": len(content.accounts),
        "events": sum(len(unpack(key, packed).events) for key, packed in content.accounts.items()),
        "values": len(content.values),
        "damages": [],
    }
    assert state(states, "verify").output.decode().endswith("values: whole\n")


def test_verify_tells_damage_of_a_table_and_of_a_record(states: Path) -> None:
    with held(states) as store:
        content = dict(store.accounts())
        key = sorted(content)[3]
        store.write([(key, content[key][:-1])], {})
        store.write([(sorted(content)[4], content[sorted(content)[4]])], {"fold": newer_claim(store)})
    finished = state(states, "verify")
    assert finished.code == 1
    lines = finished.output.decode().splitlines()
    assert any(f"DAMAGED: state of account hash {hash_text(key)}" in line for line in lines)
    assert any("expected offsets below 10" in line for line in lines)
    assert not any(f" {key}:" in line for line in lines), "an account id is no business of a log"
    with held(states) as store:
        store.write([(name, os.urandom(3_000)) for name in content], {})
        store.flush()
    flip_a_table(states / NAME)
    finished = state(states, "verify", "--json")
    assert finished.code == 1
    assert any("damaged" in line for row in rows(finished) for line in row["state"]["damages"])


def newer_claim(store: RocksStore) -> bytes:
    """The stored place of the fold, moved back before most accounts."""
    return orjson.dumps({**orjson.loads(store.get_value("fold") or b""), "next_offset": 10})


def test_verify_reads_every_snapshot(states: Path) -> None:
    for end in (450, 500):
        advance(states, end)
        assert state(states, "snapshot").code == 0
    finished = state(states, "verify", "--all-snapshots", "--json")
    assert finished.code == 0
    assert [row["snapshot"]["next_offset"] for row in rows(finished)[1:]] == [500, 450]
    (states.parent / "store" / NAME / "no-topic" / "manifests" / f"{450:020d}.json").write_bytes(b"{")
    finished = state(states, "verify", "--all-snapshots")
    assert finished.code == 1
    damaged = [line for line in finished.output.decode().splitlines() if "DAMAGED" in line]
    assert len(damaged) == 1
    assert "snapshot at 450" in damaged[0]
    fails_with(assay("state", "verify", "--state", states / "none", "--all-snapshots"), "snapshots.url")


def test_a_state_in_use_is_not_stored_by_hand(states: Path) -> None:
    with held(states):
        fails_with(state(states, "snapshot"), "in use by another process")
    fails_with(state(states, "snapshot", "--partition", 9), "fraud.events-9", "there is none")
    assert sorted(path.name for path in states.iterdir()) == [NAME]
    store = ("--snapshots", states.parent / "store")
    fails_with(assay("state", "snapshot", "--state", states / "none", *store), "check state.directory")


def test_restore_brings_back_what_was_stored_and_deletes_nothing(states: Path) -> None:
    before = content_of(states / NAME)
    (row,) = rows(state(states, "snapshot", "--json"))
    assert (row["partition"], row["next_offset"]) == (NUMBER, 400)
    advance(states, 500)
    newer = content_of(states / NAME)
    fails_with(restore(states), "--replace")
    with held(states):
        fails_with(restore(states, "--replace"), "in use")
    fails_with(restore(states, "--replace", "--at-most", 399), "no snapshot up to")
    assert content_of(states / NAME) == newer
    (row,) = rows(restore(states, "--replace", "--json"))
    assert row["next_offset"] == 400
    assert content_of(states / NAME) == before
    assert content_of(states / f"{NAME}.before-400") == newer
    finished = restore(states, "--replace")
    assert f"{NAME}.before-400.2" in finished.output.decode()
    assert sorted(path.name for path in states.iterdir()) == [NAME, f"{NAME}.before-400", f"{NAME}.before-400.2"]


def test_restore_takes_the_place_of_a_damaged_state(states: Path) -> None:
    before = content_of(states / NAME)
    assert state(states, "snapshot").code == 0
    (states / NAME / "CURRENT").write_bytes(b"")
    assert restore(states, "--replace").code == 0
    assert content_of(states / NAME) == before


def test_restore_onto_an_empty_machine(states: Path, tmp_path: Path) -> None:
    assert state(states, "snapshot").code == 0
    store = ("--snapshots", tmp_path / "store")
    command = ("state", "restore", "--topic-id", "", "--state", tmp_path / "new", *store)
    fails_with(assay(*command, "--partition", 9), "no snapshot")
    assert assay(*command, "--partition", NUMBER).code == 0
    assert content_of(tmp_path / "new" / NAME) == content_of(states / NAME)


def test_rebuild_makes_the_state_that_the_worker_had(
    broker: RunningBroker, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the log alone, then from a snapshot."""
    records = keyed(mixed_log(1_200, seed=31, accounts=40))
    settings = environment(broker.bootstrap_servers, topic, tmp_path / "states")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ASSAY_SNAPSHOTS_URL", str(tmp_path / "store"))
    produce(broker.bootstrap_servers, f"{topic}events", records)
    fails_with(assay("state", "rebuild", "--partition", 0), "has committed nothing")
    with worker(settings, tmp_path / "log") as process:
        read_all(broker.bootstrap_servers, topics_of(topic), PARTITIONS, total(expected_of(records, tmp_path)))
        assert stop(process) == 0, (tmp_path / "log").read_text()
    live = tmp_path / "states" / f"{topic}events-0"
    before = content_of(live)
    fails_with(assay("state", "rebuild", "--partition", 0), "--replace")
    finished = assay("state", "rebuild", "--partition", 0, "--replace", "--json")
    assert finished.code == 0, finished.errors
    assert content_of(live) == before
    (row,) = rows(finished)
    assert content_of(Path(row["former"])) == before
    assert assay("state", "snapshot", "--partition", 0).code == 0
    finished = assay("state", "rebuild", "--partition", 0, "--replace")
    assert finished.code == 0, finished.errors
    assert content_of(live) == before
