"""A real Kafka, started and stopped as a user would: one node, three nodes, encrypted."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer
from typer.testing import CliRunner

from features.errors import AssayError
from streams import broker as kafka
from streams.admin import apply_topics, connect, look
from streams.broker import cluster
from streams.broker.cluster import running_nodes
from streams.broker.properties import Node
from streams.broker.record import Record, write_record
from streams.commands.broker import app
from streams.commands.topics import app as topics_app
from streams.connection import client_settings

needs_broker = pytest.mark.broker


def run(command: str, directory: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [command, "--directory", str(directory), *words])
    return result.exit_code, result.stdout


def produce(settings: Mapping[str, str], topic: str, count: int = 1) -> list[KafkaError | None]:
    """Produce with acks=all; the outcome of each delivery."""
    outcomes: list[KafkaError | None] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        outcomes.append(error)

    producer = Producer({**settings, "acks": "all", "delivery.timeout.ms": 30_000, "log_level": 0})
    for number in range(count):
        producer.produce(topic, key=str(number), value=b"{}", on_delivery=delivered)
    assert producer.flush(40) == 0
    return outcomes


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[dict[str, object]]]]:
    """Two `up` commands at the same moment for one directory; what each printed."""
    directory = tmp_path_factory.mktemp("both") / "a broker"
    words = ["up", "--directory", str(directory), "--port", "0", "--json"]
    command = [sys.executable, "-c", "from streams.commands.broker import app; app()", *words]
    try:
        commands = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        yield directory, [json.loads(each.communicate(timeout=300)[0]) for each in commands]
    finally:
        kafka.delete(directory)


@needs_broker
def test_two_commands_at_once_start_one_broker(both: tuple[Path, list[dict[str, object]]]) -> None:
    _, (first, second) = both
    assert sorted([first.pop("was_running"), second.pop("was_running")]) == [False, True]
    assert first == second


@needs_broker
def test_up_on_a_running_broker_says_so(both: tuple[Path, list[dict[str, object]]]) -> None:
    directory, (first, _) = both
    code, output = run("up", directory)
    assert code == 0
    assert f"already runs at {first['bootstrap_servers']}" in output
    assert f"export ASSAY_KAFKA_BOOTSTRAP={first['bootstrap_servers']}" in output


@needs_broker
def test_another_kind_of_broker_in_the_same_directory_is_refused(both: tuple[Path, list[dict[str, object]]]) -> None:
    directory, _ = both
    with pytest.raises(AssayError, match=r"a broker with 1 node, unencrypted; asked for was 3 nodes, sasl_ssl"):
        kafka.start(directory, nodes=3, security="sasl_ssl")


@needs_broker
def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(AssayError, match=f"port {port} is taken"):
            kafka.start(tmp_path, port=port)
    assert not kafka.describe(tmp_path).nodes


@needs_broker
def test_a_port_lost_while_starting_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        lost = server.getsockname()[1]
        controller, client, *others = cluster.free_ports(5)
        answers = [[controller, lost, client], [controller, client, *others]]
        monkeypatch.setattr(cluster, "free_ports", lambda count: answers.pop(0))
        with kafka.start(tmp_path) as broker:
            assert str(lost) not in broker.bootstrap_servers
    assert answers == []


@needs_broker
def test_topics_outlive_a_kill_and_a_stop(both: tuple[Path, list[dict[str, object]]]) -> None:
    directory, _ = both
    broker = kafka.start(directory)
    client, _ = connect(broker.client_settings)
    apply_topics(client, "fraud.", 2)
    assert produce(broker.client_settings, "fraud.events", 10) == [None] * 10
    code, output = run("status", directory)
    assert (code, f"node 1 runs at {broker.bootstrap_servers}" in output) == (0, True)

    address = broker.bootstrap_servers
    broker.kill()
    code, output = run("status", directory)
    assert (code, "node 1 does not run" in output) == (1, True)
    broker.restart()
    assert broker.bootstrap_servers == address

    code, output = run("down", directory)
    assert (code, output) == (0, "stopped 1 node(s)\n")
    code, output = run("down", directory)
    assert (code, "no broker runs" in output) == (0, True)

    with kafka.start(directory) as again:
        client, _ = connect(again.client_settings)
        assert look(client, ["fraud.events"])["fraud.events"].partitions == 2
        consumer = Consumer(
            {**again.client_settings, "group.id": "test", "auto.offset.reset": "earliest", "log_level": 0}
        )
        consumer.subscribe(["fraud.events"])
        assert len(consumer.consume(10, timeout=30)) == 10
        consumer.close()


@needs_broker
def test_down_with_delete_removes_the_directory(both: tuple[Path, list[dict[str, object]]]) -> None:
    directory, _ = both
    code, output = run("down", directory, "--delete")
    assert (code, f"removed {directory}" in output) == (0, True)
    assert not directory.exists()


def test_delete_leaves_other_directories_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    kafka.delete(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_pid_that_belongs_to_somebody_else_is_not_touched(tmp_path: Path) -> None:
    record = Record(kafka.KAFKA_VERSION, "A" * 22, None, (Node(1, 9092, 9093, os.getpid()),))
    write_record(tmp_path, record)
    assert running_nodes(tmp_path, record) == []
    assert kafka.stop(tmp_path) == []
    assert run("status", tmp_path)[0] == 1


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "broker.json").write_text('{"schema": 1, "nodes"')
    with pytest.raises(AssayError, match=r"broker\.json is damaged"):
        kafka.describe(tmp_path)
    (tmp_path / "broker.json").write_text('{"schema": 2}')
    with pytest.raises(AssayError, match="expected schema 1, got 2"):
        kafka.describe(tmp_path)


def test_a_path_that_kafka_would_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="no comma in its path"):
        kafka.start(tmp_path / "a,b")


def test_status_where_nothing_was_started(tmp_path: Path) -> None:
    code, output = run("status", tmp_path, "--json")
    assert code == 1
    assert json.loads(output)["nodes"] == []


@needs_broker
def test_three_nodes_work_while_one_is_dead(tmp_path: Path) -> None:
    with kafka.start(tmp_path, nodes=3) as broker:
        client, members = connect(broker.client_settings)
        assert members == {1, 2, 3}
        apply_topics(client, "fraud.", 3)
        found = look(client, ["fraud.events"])["fraud.events"]
        assert (found.replicas, found.settings["min.insync.replicas"]) == (3, "2")
        assert produce(broker.client_settings, "fraud.events", 30) == [None] * 30
        broker.kill(2)
        assert [node.running for node in kafka.describe(tmp_path).nodes] == [True, False, True]
        assert produce(broker.client_settings, "fraud.events", 30) == [None] * 30


@needs_broker
def test_an_encrypted_broker_knows_its_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with kafka.start(tmp_path, security="sasl_ssl") as broker:
        clients = kafka.describe(tmp_path).clients
        passwords = [Path(each["ASSAY_KAFKA_PASSWORD_FILE"]) for each in clients.values()]
        assert {path.stat().st_mode & 0o777 for path in passwords} == {0o600}
        assert not any(path.read_text().strip() in json.dumps(clients) for path in passwords)

        for name, value in clients["admin"].items():
            monkeypatch.setenv(name, value)
        assert CliRunner().invoke(topics_app, ["apply"]).exit_code == 0

        # the right password, and no more rights than the table of topics gives
        assert produce(broker.settings_of("producer"), "fraud.events") == [None]
        assert produce(broker.settings_of("engine"), "fraud.verdicts") == [None]
        (refused,) = produce(broker.settings_of("engine"), "fraud.events")
        assert refused is not None
        assert refused.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
        transaction = Producer({**broker.settings_of("engine"), "transactional.id": "assay-engine-0", "log_level": 0})
        transaction.init_transactions(30)

        # the wrong password, the wrong authority, no encryption
        with pytest.raises(AssayError, match="refused the credentials"):
            connect({**broker.settings_of("engine"), "sasl.password": "guess"}, timeout_s=5)
        trusting_others = {**broker.settings_of("engine")}
        del trusting_others["ssl.ca.location"]
        with pytest.raises(AssayError, match=r"no encrypted connection .*verify failed.*\(--ca-file\)"):
            connect(trusting_others, timeout_s=5)
        with pytest.raises(AssayError, match="did not answer within 3 s"):
            connect(client_settings(broker.bootstrap_servers), timeout_s=3)
