"""`assay breaker`: what an operator sets is in every partition, signed, and the engine does it."""

from pathlib import Path

import orjson
import pytest

from features.errors import AssayError
from streams.broker import RunningBroker
from streams.marker_writer import write_markers
from streams.publisher import Message
from tests.streams.command_line import assay
from tests.streams.logs import START_MS, payment
from tests.streams.warm.workers import warm_environment
from tests.streams.workers import produce, read_all, stop, worker

PARTITIONS = 2


@pytest.fixture
def settings(broker: RunningBroker, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Of a worker; the commands of the test have the same."""
    found = warm_environment(broker.bootstrap_servers, topic, tmp_path)
    for name in ("ASSAY_KAFKA_BOOTSTRAP", "ASSAY_TOPICS_PREFIX", "ASSAY_SECURITY_INTERNAL_KEY"):
        monkeypatch.setenv(name, found[name])
    return found


def payments(first: int) -> list[tuple[bytes | None, bytes, int]]:
    return [
        (f"a{number}".encode(), payment(first + number, f"a{number}", START_MS + first + number), number)
        for number in range(PARTITIONS)
    ]


def test_it_is_opened_and_closed_by_hand(
    broker: RunningBroker, topic: str, tmp_path: Path, settings: dict[str, str]
) -> None:
    bootstrap, events = broker.bootstrap_servers, f"{topic}events"
    opened = assay("breaker", "set", "step_up", "--reason", "the new model declines everybody", "--json")
    assert opened.code == 0, opened.errors
    row = orjson.loads(opened.output)
    assert (row["breaker"], row["partitions"], row["topic"]) == ("step_up", PARTITIONS, events)
    shown = orjson.loads(assay("breaker", "show", "--json").output)
    assert (shown["breaker"], shown["event_id"]) == ("step_up", row["event_id"])
    assert shown["reason"] == "the new model declines everybody"
    produce(bootstrap, events, payments(0))
    closed = assay("breaker", "close", "--reason", "another one is in force")
    assert closed.code == 0, closed.errors
    assert closed.output.decode() == f"{events}: the breaker is closed in 2 partitions, from their next record on\n"
    assert b"another one is in force" in assay("breaker", "show").output
    produce(bootstrap, events, payments(10))
    with worker(settings, tmp_path / "engine") as engine:
        verdicts = read_all(bootstrap, [f"{topic}verdicts"], PARTITIONS, 2 * PARTITIONS)
        assert stop(engine) == 0, (tmp_path / "engine").read_text()
    assert read_all(bootstrap, [f"{topic}events.dlq"], PARTITIONS, 0) == []
    for number in range(PARTITIONS):
        mine = [orjson.loads(one.value() or b"") for one in verdicts if one.partition() == number]
        assert ["degraded" in verdict["flags"] for verdict in mine] == [True, False]
    for action in ("last_good_model", "rules_only"):
        assert orjson.loads(assay("breaker", "set", action, "--reason", "why", "--json").output)["breaker"] == action
    told = assay("explain", "0:0", "--bootstrap", bootstrap)
    assert told.code == 0, told.errors
    assert b"a step-up takes the place of reviews and declines: the new model declines everybody" in told.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["set"],
        ["set", "nothing", "--reason", "why"],
        ["set", "step_up"],
        ["close"],
        ["close", "--reason", ""],
        ["close", "--reason", "x" * 257],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    assert assay("breaker", *arguments).code == 2


def test_without_a_key_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_SECURITY_INTERNAL_KEY", raising=False)
    refused = assay("breaker", "close", "--reason", "why")
    assert refused.code == 1
    assert "security.internal_key" in refused.errors


def test_topics_that_are_missing_are_one_line(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_TOPICS_PREFIX", "nobody.")
    refused = assay("breaker", "close", "--reason", "why")
    assert refused.code == 1
    assert "topic nobody.events is missing" in refused.errors


@pytest.mark.usefixtures("settings")
def test_a_breaker_that_nobody_touched_is_closed() -> None:
    shown = assay("breaker", "show")
    assert (shown.code, shown.output) == (0, b"closed: nothing was ever put in the model's place\n")


def test_what_the_broker_does_not_take_is_told(broker: RunningBroker, topic: str) -> None:
    nowhere = [Message(f"{topic}events", 99, None, b"{}", None)]
    with pytest.raises(AssayError, match="partitions 99: not written"):
        write_markers(broker.client_settings, nowhere, timeout_s=10)


def test_a_broker_that_is_not_there_is_told() -> None:
    nobody = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}
    with pytest.raises(AssayError, match="run the command again|not written"):
        write_markers(nobody, [Message("events", 0, None, b"{}", None)], timeout_s=1)
