"""`assay verify`, `explain` and `state show` against a real broker, after a worker was killed and the model changed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from models.model_store import ModelStore
from streams.broker import RunningBroker
from streams.log import LogRecord
from tests.streams.archives import GrowingHistory, archived
from tests.streams.command_line import Finished, assay, fails_with
from tests.streams.logs import START_MS, keyed, mixed_log, model_marker, payment
from tests.streams.small_model import small_model
from tests.streams.test_verify import published_of, with_gaps
from tests.streams.test_worker import PARTITIONS, expected_of, of_topic, topics_of, total
from tests.streams.workers import environment, produce, read_all, stop, worker

Records = Sequence[tuple[bytes | None, bytes, int]]


def judged_by_a_killed_worker(
    bootstrap: str, prefix: str, settings: dict[str, str], directory: Path, records: Records
) -> list[bytes]:
    """Run a worker over `records`, kill it on the way, let another finish; verdicts as published."""
    half = len(records) // 2
    log = directory / "log"
    produce(bootstrap, f"{prefix}events", records[:half])
    with worker(settings, log) as process:
        assert read_all(bootstrap, topics_of(prefix), PARTITIONS, half // 3), log.read_text()
        process.kill()
    produce(bootstrap, f"{prefix}events", records[half:])
    with worker(settings, log) as process:
        everything = total(expected_of(records, directory))
        found = read_all(bootstrap, topics_of(prefix), PARTITIONS, everything)
        assert len(found) == everything, log.read_text()
        assert stop(process) == 0, log.read_text()
    return [message.value() or b"" for message in of_topic(found, "verdicts")]


def report_of(finished: Finished) -> dict[str, Any]:
    report: dict[str, Any] = orjson.loads(finished.output)
    return report


def test_what_a_killed_worker_published_is_verified_and_explained(
    broker: RunningBroker, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap = broker.bootstrap_servers
    records: list[tuple[bytes | None, bytes, int]] = keyed(mixed_log(3_000, seed=31, accounts=40))
    records[1_000:1_000] = [(None, model_marker(1, small_model(2).id, START_MS), n) for n in range(PARTITIONS)]
    ModelStore(tmp_path / "models").add(small_model(2).artefact.directory)
    settings = environment(
        bootstrap, topic, tmp_path / "state", ASSAY_MODELS_DIRECTORY=str(tmp_path / "models"),
        ASSAY_ENGINE_BATCH_EVENTS="97",
    )  # fmt: skip
    verdicts = judged_by_a_killed_worker(bootstrap, topic, settings, tmp_path, records)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    rows = [orjson.loads(value) for value in verdicts]
    some = next(row for row in rows if row["model"] == small_model(2).id[:16] and row["reasons"])

    # a sample of all, with both models
    finished = assay("verify", "--sample", 200, "--json")
    report = report_of(finished)
    assert finished.code == 0, finished
    assert (report["checked"], report["equal"], report["scanned"]) == (200, 200, len(verdicts))
    assert set(report["models"]) == {small_model(1).id[:16], small_model(2).id[:16]}

    # an event, and an id that was never judged, told to people; a part of the topic
    finished = assay("verify", some["event_id"], "nobody")
    assert finished.code == 1, "one of them was not found"
    assert b"2 events checked" in finished.output
    assert b"1 equal, 0 different, 0 not recomputable, 1 not found" in finished.output
    assert b"nobody: not found" in finished.output
    place = some["at"]
    part = ("--partition", place["partition"], "--from", place["offset"], "--to", place["offset"] + 1)
    report = report_of(assay("verify", "--sample", 9, *part, "--json"))
    assert (report["equal"], report["scanned"]) == (1, 1)
    fails_with(assay("verify", "--sample", 9, "--from", 5), "an offset is a place of one partition")

    # verdicts of a file, one of them altered
    file = tmp_path / "verdicts.jsonl"
    forged = verdicts[7].replace(b'"score":0.', b'"score":0.9')
    file.write_bytes(b"".join(value + b"\n" for value in verdicts[:7]) + forged + b"\n")
    finished = assay("verify", "--verdicts", file, "--json")
    report = report_of(finished)
    assert finished.code == 1
    assert (report["equal"], report["differs"]) == (7, 1)
    assert [one["path"] for check in report["checks"] for one in check["differences"]] == ["$.score"]

    # one record from left to right, by its id and by its place
    finished = assay("explain", some["event_id"])
    assert finished.code == 0, finished
    text = finished.output.decode()
    for words in ("EVENT", "HISTORY", "FEATURES", "SCORES", "COSTS", "REASONS", "VERDICT"):
        assert f"\n{words}" in text
    assert "PUBLISHED the same bytes" in text
    at = f"{place['partition']}:{place['offset']}"
    everything = report_of(assay("explain", at, "--json"))
    assert everything["published"]["same"] is True
    assert everything["verdict"] == some
    assert [line for line in everything["features"] if line["contribution"]]
    proof = report_of(assay("explain", at, "--feature", "account_payment_count_1d", "--json"))["evidence"]
    assert proof["agrees"] is True
    assert len(proof["parts"][0]["events"]) == proof["served"]

    # an account, as the worker stored it and as it was before
    account = some["account_id"]
    live = report_of(assay("state", "show", account, "--json"))
    assert live["partition"] == place["partition"]
    assert live["account"]["last_offset"] >= place["offset"]
    before = report_of(assay("state", "show", account, "--at", place["offset"], *part[:2], "--json"))
    assert before["next_offset"] == place["offset"]
    assert before["account"]["events"] == everything["account"]["events"]
    fails_with(assay("state", "show", "nobody"), "'nobody' has no past")

    # somebody writes a verdict of his own
    produce(bootstrap, f"{topic}verdicts", [(account.encode(), orjson.dumps({**some, "decision": "approve"}), 0)])
    finished = assay("verify", some["event_id"])
    assert finished.code == 1
    assert b"2 different verdicts were published for this event, 1 of them" in finished.output


def without_a_broker(
    log: list[LogRecord], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[bytes], Path, tuple[str, Path]]:
    """An archive of a log, its verdicts, the file that they are in, and the option that names the archive."""
    archived(str(directory / "archive"), GrowingHistory(log, batch=100), rows_per_file=150)
    verdicts = [verdict.value for verdict in published_of(0, log)]
    file = directory / "verdicts.jsonl"
    file.write_bytes(b"".join(value + b"\n" for value in verdicts))
    for name, value in environment("127.0.0.1:9", "fraud.", directory / "state").items():
        monkeypatch.setenv(name, value)
    return verdicts, file, ("--archive", directory / "archive")


def test_a_stranger_with_an_archive_and_a_file_of_verdicts_needs_no_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = with_gaps(mixed_log(400, seed=9, accounts=5))
    verdicts, file, archive = without_a_broker(log, tmp_path, monkeypatch)
    finished = assay("verify", "--verdicts", file, *archive, "--json")
    assert finished.code == 0, finished
    assert report_of(finished)["equal"] == len(verdicts) > 200
    last = orjson.loads(verdicts[-1])
    told = report_of(assay("explain", last["event_id"], *archive, "--json"))
    assert told["verdict"] == last
    assert told["published"] is None
    shown = report_of(assay("state", "show", last["account_id"], "--at", last["at"]["offset"], *archive, "--json"))
    assert shown["account"] == told["account"]


def test_an_id_of_two_accounts_is_proved_for_each_and_explained_for_the_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [payment(1, "a1", START_MS), payment(1, "a2", START_MS + 1), payment(2, "a1", START_MS + 2)]
    log = with_gaps([*values, values[0]])
    verdicts, file, archive = without_a_broker(log, tmp_path, monkeypatch)

    finished = assay("verify", "p1", "--verdicts", file, *archive)
    assert finished.code == 0, finished
    assert b"2 events checked, out of 3 verdicts: 2 equal, 0 different" in finished.output
    assert b"\n  event id p1 was given to 2 accounts: " in finished.output
    report = report_of(assay("verify", "--sample", 3, "--verdicts", file, *archive, "--json"))
    assert (report["checked"], report["equal"], report["shared_ids"]) == (3, 3, {"p1": 2})
    one = assay("verify", "p2", "--verdicts", file, *archive)
    assert b"given to" not in one.output

    places = [f"0:{record.offset}" for record in log]
    fails_with(assay("explain", "p1", *archive), f"a1 (at {places[0]}), a2 (at {places[1]})", "--account")
    fails_with(assay("explain", "p1", "--account", "a3", *archive), f"a1 (at {places[0]}), a2 (at {places[1]})")
    told = report_of(assay("explain", "p1", "--account", "a2", *archive, "--json"))
    assert told["verdict"] == orjson.loads(verdicts[1])
    assert told["also_at"] == [places[0], places[3]]
    text = assay("explain", "p1", "--account", "a1", *archive).output.decode().splitlines()
    assert text[-2:] == [
        f"the same event id is also at {places[3]}",
        f"the same event id is also at {places[1]}, of another account",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["e1", "--sample", "5"],
        ["--sample", "0"],
        ["e1", "--seed", "4"],
        ["--sample", "5", "--from", "yesterday"],
        ["--verdicts", "v.jsonl", "--partition", "1"],
    ],
)
def test_wrong_usage_is_code_2(arguments: list[str]) -> None:
    finished = assay("verify", *arguments)
    assert finished.code == 2
    assert finished.output == b""


def test_wrong_usage_of_the_others_is_code_2() -> None:
    assert assay("explain").code == 2
    assert assay("explain", "e1", "--to", "soon").code == 2
    assert assay("explain", "0:17", "--account", "a1").code == 2
    assert assay("state", "show", "a1", "--at", "soon").code == 2
