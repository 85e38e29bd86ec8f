"""The table of topics, the plan that follows from it, and the plan carried out on a real cluster."""

import json
import re
from dataclasses import replace

import pytest
from confluent_kafka.admin import NewTopic
from typer.testing import CliRunner

from features.errors import AssayError
from streams.admin import apply_topics, connect, look
from streams.broker import RunningBroker
from streams.commands.topics import app
from streams.topics import DAY_MS, LARGEST_SET_ASIDE, TOPICS, Existing, Step, plan, topic_names

COMPACTED = {"entities", "control", "warm.watch-states"}
ONE_PARTITION = {"links", "entities", "telemetry", "control", "alerts", "audit", "warm.watch-states"}


def existing(partitions: int = 8) -> dict[str, Existing]:
    """A cluster just as the table wants it."""
    steps = plan("", partitions, {})
    return {step.topic: Existing(step.partitions, 1, step.settings) for step in steps}


def step_of(steps: list[Step], topic: str) -> Step:
    return next(step for step in steps if step.topic == topic)


def test_every_topic_is_created_with_its_cleanup_and_partitions() -> None:
    steps = plan("", 6, {})
    assert {step.topic for step in steps if step.settings["cleanup.policy"] == "compact"} == COMPACTED
    assert {step.topic for step in steps if step.partitions == 1} == ONE_PARTITION
    assert {step.partitions for step in steps} == {1, 6}
    assert {step.outcome for step in steps} == {"create"}


def test_events_outlive_the_longest_window() -> None:
    assert int(step_of(plan("", None, {}), "events").settings["retention.ms"]) > 90 * DAY_MS


def test_a_record_of_the_largest_size_can_be_set_aside() -> None:
    assert int(step_of(plan("", None, {}), "events.dlq").settings["max.message.bytes"]) == LARGEST_SET_ASIDE


def test_only_the_engine_writes_verdicts_and_never_events() -> None:
    writers = {topic.name: topic.writers for topic in TOPICS}
    assert writers["verdicts"] == ("engine",)
    assert "engine" not in writers["events"]


def test_a_cluster_as_it_should_be_is_left_alone() -> None:
    assert {step.outcome for step in plan("", 8, existing(8))} == {"present"}
    assert {step.outcome for step in plan("", None, existing(5))} == {"present"}


def test_asking_for_other_partitions_is_a_difference_of_events_alone() -> None:
    steps = plan("", 12, existing(8))
    assert [step.topic for step in steps if step.differences] == ["events"]
    assert step_of(steps, "events").differences == ("partitions: expected 12, is 8",)


def test_a_new_topic_follows_the_events_that_are_there() -> None:
    found = existing(8)
    del found["verdicts"]
    assert step_of(plan("", 12, found), "verdicts").partitions == 8
    assert step_of(plan("", None, found), "verdicts").partitions == 8


def test_a_topic_with_other_partitions_than_events_differs() -> None:
    found = existing(8)
    found["verdicts"] = replace(found["verdicts"], partitions=4)
    found["entities"] = replace(found["entities"], partitions=8)
    steps = plan("", None, found)
    assert step_of(steps, "verdicts").differences == ("partitions: expected 8, is 4",)
    assert step_of(steps, "entities").differences == ("partitions: expected 1, is 8",)


@pytest.mark.parametrize(
    ("name", "value", "differences"),
    [
        ("retention.ms", str(100 * DAY_MS - 1), ("retention.ms: expected at least 8640000000, is 8639999999",)),
        ("retention.ms", str(200 * DAY_MS), ()),
        ("retention.ms", "-1", ()),
        ("cleanup.policy", "compact", ("cleanup.policy: expected delete, is compact",)),
        ("segment.ms", "1", ()),
    ],
)
def test_settings_are_compared(name: str, value: str, differences: tuple[str, ...]) -> None:
    found = existing()
    found["events"] = replace(found["events"], settings={**found["events"].settings, name: value})
    assert step_of(plan("", None, found), "events").differences == differences


@pytest.mark.parametrize("prefix", ["fraud events.", "größe.", "x" * 240, "a/b."])
def test_a_prefix_that_kafka_would_refuse_is_refused(prefix: str) -> None:
    with pytest.raises(AssayError, match="choose another --prefix"):
        topic_names(prefix)


def run(broker: RunningBroker, *words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [words[0], "--bootstrap", broker.bootstrap_servers, *words[1:]])
    return result.exit_code, result.stdout, result.stderr


def test_apply_creates_once_and_list_shows(broker: RunningBroker) -> None:
    code, output, _ = run(broker, "list", "--prefix", "once.")
    assert (code, output.count("missing")) == (1, len(TOPICS))
    code, output, _ = run(broker, "apply", "--prefix", "once.", "--partitions", "3")
    assert (code, re.findall(r"^\w+", output, re.MULTILINE)) == (0, ["created"] * len(TOPICS))
    code, output, _ = run(broker, "apply", "--prefix", "once.", "--json")
    assert code == 0
    assert {json.loads(line)["outcome"] for line in output.splitlines()} == {"present"}
    code, output, _ = run(broker, "list", "--prefix", "once.", "--json")
    rows = {row["topic"]: row for row in map(json.loads, output.splitlines())}
    assert code == 0
    assert rows["once.events"] == {
        "topic": "once.events",
        "exists": True,
        "partitions": 3,
        "replicas": 1,
        "cleanup_policy": "delete",
        "retention_ms": 100 * DAY_MS,
    }
    assert rows["once.entities"]["cleanup_policy"] == "compact"


def test_apply_never_changes_what_exists(broker: RunningBroker) -> None:
    client, _ = connect(broker.client_settings)
    topic = NewTopic("kept.events", 2, config={"retention.ms": "1000", "cleanup.policy": "delete"})
    client.create_topics([topic])["kept.events"].result()
    code, output, errors = run(broker, "apply", "--prefix", "kept.", "--partitions", "4")
    assert code == 1
    assert "differs  kept.events (2 partitions)" in output
    assert "partitions: expected 4, is 2" in output
    assert "retention.ms: expected at least 8640000000, is 1000" in output
    assert "sends its next events away from the partition that holds its history" in errors
    found = look(client, ["kept.events", "kept.verdicts"])
    assert (found["kept.events"].partitions, found["kept.events"].settings["retention.ms"]) == (2, "1000")
    assert found["kept.verdicts"].partitions == 2


@pytest.mark.parametrize("topic", [3], indirect=True)
def test_the_fixture_gives_topics_of_its_own(broker: RunningBroker, topic: str) -> None:
    client, _ = connect(broker.client_settings)
    assert {step.outcome for step in apply_topics(client, topic, 3)} == {"present"}


def test_nobody_at_the_address_is_one_clear_line() -> None:
    with pytest.raises(AssayError, match=r"127\.0\.0\.1:1 did not answer within 1 s .*refused.*assay broker up"):
        connect({"bootstrap.servers": "127.0.0.1:1"}, timeout_s=1.0)


def test_wrong_usage_ends_with_2_and_an_unprotected_address_with_a_line() -> None:
    assert CliRunner().invoke(app, ["apply", "--bootstrap", "nowhere"]).exit_code == 2
    assert CliRunner().invoke(app, ["apply", "--setting", "linger.ms"]).exit_code == 2
    assert CliRunner().invoke(app, ["apply", "--partitions", "0"]).exit_code == 2
    refused = CliRunner().invoke(app, ["list", "--bootstrap", "kafka:9092"])
    assert isinstance(refused.exception, AssayError)
