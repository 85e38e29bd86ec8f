"""`assay skew` from end to end: an archive and files without a broker; a worker, outcomes and the alert with one."""

import shlex
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from pyarrow import parquet

from features.catalogue import FEATURES
from features.records import Alert
from models.telemetry_log import Compared, decode_telemetry
from streams.alert_kinds import SKEW
from streams.broker import RunningBroker
from streams.log import LogRecord
from tests.streams.archives import GrowingHistory, archived
from tests.streams.command_line import Finished, assay, fails_with
from tests.streams.logs import START_MS, keyed, label, payment
from tests.streams.served import altered, busy_log, facts, next_float, place_of, published_outcomes, with_feature
from tests.streams.small_model import small_model_directory
from tests.streams.test_skew_training_set import with_value
from tests.streams.warm.test_alerts_on_kafka import alerts_in
from tests.streams.warm.workers import warm_environment, warm_worker
from tests.streams.workers import environment, produce, read_all, stop, worker

AMOUNT = "account_amount_minor_sum_1h"


def report_of(finished: Finished) -> dict[str, Any]:
    report: dict[str, Any] = orjson.loads(finished.output)
    return report


def archive_of(values: list[bytes], directory: Path) -> tuple[str, Path]:
    """The option that names an archive of the busy log and of these outcomes."""
    url = directory / "archive"
    archived(str(url), GrowingHistory(busy_log(), batch=500), rows_per_file=900)
    outcomes = [LogRecord(2 * number, value, None, START_MS + number) for number, value in enumerate(values)]
    archived(str(url), GrowingHistory(outcomes, batch=50), topic="fraud.outcomes", rows_per_file=60)
    return "--archive", url


@pytest.fixture
def nobody_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment("127.0.0.1:9", "fraud.", tmp_path / "state").items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("nobody_there")
def test_an_archive_of_outcomes_is_compared_without_a_broker(tmp_path: Path) -> None:
    values = published_outcomes({0: busy_log()})[0]
    archive = archive_of(values, tmp_path)
    finished = assay("skew", *archive)
    assert finished.code == 0, finished
    assert f"{len(values)} outcomes compared in 125 features: 0 differ\n" in finished.output.decode()
    report = report_of(assay("skew", *archive, "--json"))
    assert (report["compared"], report["differing"], report["features"]) == (len(values), 0, [])
    start = facts(values[len(values) // 2])["at"]["offset"]
    some = report_of(assay("skew", *archive, "--from", start, "--json"))
    assert some["compared"] == len(values) - len(values) // 2
    nothing = assay("skew", *archive, "--from", start, "--to", start)
    assert nothing.code == 1
    assert b"0 outcomes compared" in nothing.output
    assert b"there was nothing to compare" in nothing.output


@pytest.mark.usefixtures("nobody_there")
def test_what_differs_is_told_with_the_command_that_explains_it(tmp_path: Path) -> None:
    values = published_outcomes({0: busy_log()})[0]
    place = with_feature(values, AMOUNT)
    served = facts(values[place])["features"][AMOUNT]
    values[place] = altered(values[place], **{AMOUNT: next_float(served)})
    archive = archive_of(values, tmp_path)
    finished = assay("skew", *archive)
    assert finished.code == 1
    first, command, *rest = finished.output.decode().splitlines()
    assert first.startswith(f"{AMOUNT}: 1 of {len(values)} rows differ (")
    assert f"{len(values)} outcomes compared in 125 features: 1 differ, in 1 feature" in rest
    report = report_of(assay("skew", *archive, "--json"))
    (difference,) = report["features"]
    assert (difference["partition"], difference["offset"]) == (0, place_of(values[place]))
    assert (difference["skew"]["name"], difference["skew"]["differing"]) == (AMOUNT, 1)
    assert difference["explain"] == command.strip()
    explained = assay(*shlex.split(command)[1:], "--json")
    assert explained.code == 0, explained
    assert report_of(explained)["evidence"]["served"] == served


@pytest.mark.usefixtures("nobody_there")
def test_a_file_to_train_on_is_compared(tmp_path: Path) -> None:
    archive = archive_of(published_outcomes({0: busy_log()})[0], tmp_path)
    file = tmp_path / "features.parquet"
    scored = assay(
        "score", archive[1] / "events", "--out", tmp_path / "verdicts.jsonl", "--features", file,
        "--model", small_model_directory(), "--entities", "topic",
    )  # fmt: skip
    assert scored.code == 0, scored
    rows = parquet.read_table(file)
    finished = assay("skew", *archive, "--training-set", file)
    assert finished.code == 0, finished
    told = f"{rows.num_rows:,} rows of {file} compared in {len(FEATURES.names)} features: 0 differ"
    assert told in finished.output.decode()
    parquet.write_table(with_value(rows, AMOUNT, 700, None), file)
    finished = assay("skew", *archive, "--training-set", file, "--json")
    assert finished.code == 1
    (difference,) = report_of(finished)["features"]
    assert (difference["skew"]["name"], difference["skew"]["one_sided"]) == (AMOUNT, 1)
    part = report_of(assay("skew", *archive, "--training-set", file, "--to", 1_000, "--json"))
    assert part["compared"] + part["not_given"] == rows.num_rows
    assert part["features"] == []
    fails_with(assay("skew", *archive, "--training-set", tmp_path / "none"), "expected feature rows in Parquet")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--tell", "--partition", "0"],
        ["--tell", "--training-set", "features.parquet"],
        ["--tell", "--archive", "archive"],
        ["--tell", "--to", "-1h"],
        ["--from", "yesterday"],
        ["p1"],
    ],
)
def test_wrong_usage_is_code_2(arguments: list[str]) -> None:
    finished = assay("skew", *arguments)
    assert finished.code == 2
    assert finished.output == b""


def skew_alerts(bootstrap: str, topic: str, expected: int) -> list[Alert]:
    """Alerts about skew; waits until there are so many."""
    deadline_s, told = time.monotonic() + 60, list[Alert]()
    while len(told) < expected and time.monotonic() < deadline_s:
        told = [one for one in alerts_in(bootstrap, topic, 1, timeout_s=2) if one.alert == SKEW]
    return told


def test_an_altered_outcome_becomes_the_alert_and_a_clean_run_ends_it(
    broker: RunningBroker, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = broker.bootstrap_servers
    settings = warm_environment(servers, topic, tmp_path)
    settings |= {"ASSAY_SECURITY_INTERNAL_KEY": "", "ASSAY_SECURITY_TRUST_INTERNAL": "true"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    events = keyed([payment(n, f"a{n % 7}", START_MS + n * 1_000, amount_minor=100 + n) for n in range(400)])
    owners = [facts(value)["account_id"] for _, value, _ in events]
    labels = keyed([label(1_000 + n, f"p{n}", owners[n], START_MS + 500_000 + n) for n in range(0, 400, 5)])

    with worker(settings, tmp_path / "engine.log") as engine, warm_worker(settings, tmp_path / "warm.log") as warm:
        produce(servers, f"{topic}events", events)
        produce(servers, f"{topic}events", labels)
        found = read_all(servers, [f"{topic}outcomes"], 2, len(labels))
        assert len(found) == len(labels), (tmp_path / "engine.log").read_text()

        clean = assay("skew", "--json")
        assert clean.code == 0, clean
        report = report_of(clean)
        assert (report["compared"], report["at_event"], report["not_given"]) == (len(labels), len(labels), 0)
        one = report_of(assay("skew", "--json", "--partition", 1))
        assert one["compared"] == sum(message.partition() == 1 for message in found)

        # somebody writes an outcome of his own, one unit in the last place away
        message = found[-1]
        value, partition = message.value() or b"", int(message.partition() or 0)
        outcome = facts(value)
        forged = altered(value, **{AMOUNT: next_float(outcome["features"][AMOUNT])})
        before_ms = time.time_ns() // 1_000_000
        produce(servers, f"{topic}outcomes", [(message.key(), forged, partition)])
        differs = assay("skew", "--tell")
        assert differs.code == 1
        assert f"assay explain {partition}:{outcome['judged']['offset']} --feature {AMOUNT}" in differs.output.decode()
        assert "told: " in differs.errors
        (alert,) = skew_alerts(servers, topic, 1)
        assert (alert.status, alert.severity, alert.subjects) == ("firing", "page", [AMOUNT])
        assert alert.runbook == "docs/runbooks/train-serve-skew.md"

        # from here on only sound outcomes; a run that compares nothing says nothing
        empty = assay("skew", "--tell", "--from", before_ms)
        assert empty.code == 1
        assert "not told" in empty.errors
        more = keyed([label(2_000, "p1", owners[1], START_MS + 900_000)])
        produce(servers, f"{topic}events", more)
        assert len(read_all(servers, [f"{topic}outcomes"], 2, len(labels) + 2)) == len(labels) + 2
        assert assay("skew", "--tell", "--from", before_ms).code == 0
        firing, resolved = skew_alerts(servers, topic, 2)
        assert (firing, resolved.status, resolved.subjects) == (alert, "resolved", [AMOUNT])
        said = [decode_telemetry(one.value() or b"") for one in read_all(servers, [f"{topic}telemetry"], 1, 3)]
        assert [len(one.features) for one in said if isinstance(one, Compared)] == [1, 0]
        assert (stop(warm), stop(engine)) == (0, 0), (tmp_path / "warm.log").read_text()
