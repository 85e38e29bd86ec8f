"""SASL_SSL, SCRAM-SHA-512 and ACLs on a real broker: each user may do what the table of topics says, and no more.

A refusal is one clear line and exit code 1 within a bounded time, never a silent wait.
"""

import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from features.errors import AssayError
from streams import broker as kafka
from streams.admin import apply_topics, connect, topic_id
from streams.broker import access
from streams.broker.certificates import make_certificates
from streams.config import load_config
from streams.kafka_clients import ask_committed, connection
from streams.rebuild import committed_offset
from streams.topic_reader import TopicReader
from streams.topics import TOPICS, Role
from tests.streams.command_line import assay, fails_with
from tests.streams.logs import START_MS, payment
from tests.streams.warm.workers import label, warm_worker
from tests.streams.workers import ASSAY, environment, stop, worker

REFUSED_S = 60
"""Bound of every refusal; most take two seconds, an address that never answers twenty."""
READ, WRITE = AclOperation.READ, AclOperation.WRITE
_numbers = count(1)
needs_broker = pytest.mark.broker


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka.RunningBroker]:
    """One encrypted broker for this file."""
    with kafka.start(tmp_path_factory.mktemp("secured"), security="sasl_ssl") as running:
        yield running


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + REFUSED_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


class Site(NamedTuple):
    """Topics of one test on the secured broker, with the rights of every role."""

    broker: kafka.RunningBroker
    prefix: str
    admin: AdminClient

    def environment(self, directory: Path, user: str = "engine", **more: str) -> dict[str, str]:
        """Of a command that logs in as `user`."""
        settings = environment(self.broker.bootstrap_servers, self.prefix, directory / "state")
        login = access.user_environment(self.broker.bootstrap_servers, self.broker.directory, user)
        return {**settings, **login, "ASSAY_KAFKA_GROUP": f"assay-engine-{self.prefix}", **more}

    def right(self, user: str, topic: str, operation: AclOperation) -> AclBinding:
        """One right, as `grant_rights` gives it."""
        return binding(ResourceType.TOPIC, f"{self.prefix}{topic}", user, operation)

    def grant(self, *rights: AclBinding) -> None:
        """Returns when the broker knows of them."""
        for answer in self.admin.create_acls(list(rights), request_timeout=20).values():
            answer.result()
        wait_for(lambda: set(rights) <= access.rights_in_force(self.admin))

    def revoke(self, right: AclBinding) -> None:
        """Returns when the broker knows of it; fails if nobody had it: then the test would say nothing."""
        wanted = AclBindingFilter(
            right.restype, right.name, right.resource_pattern_type, right.principal, right.host, right.operation,
            right.permission_type,
        )  # fmt: skip
        (answer,) = self.admin.delete_acls([wanted], request_timeout=20).values()
        assert len(answer.result()) == 1
        wait_for(lambda: right not in access.rights_in_force(self.admin))

    def produce(self, numbers: range) -> None:
        """Payments, sent as the producer."""
        outcomes = write(self.broker.settings_of("producer"), [f"{self.prefix}events"] * len(numbers), numbers)
        assert set(outcomes) == {None}

    def verdicts(self, expected: int) -> list[str]:
        """Events judged so far, read as the reader; waits for `expected` of them."""
        topic = f"{self.prefix}verdicts"
        deadline = time.monotonic() + 60
        with TopicReader(self.broker.settings_of("reader")) as reader:
            while True:
                bounds = reader.bounds(topic, 0)
                found = [record for part in reader.read(topic, 0, bounds.low, bounds.high) for record in part]
                if len(found) >= expected or time.monotonic() > deadline:
                    return [orjson.loads(record.value or b"")["event_id"] for record in found]


def binding(kind: ResourceType, name: str, user: str, operation: AclOperation, pattern: str = "LITERAL") -> AclBinding:
    return AclBinding(kind, name, ResourcePatternType[pattern], f"User:{user}", "*", operation, AclPermissionType.ALLOW)


def new_site(secured: kafka.RunningBroker) -> Site:
    admin, _ = connect(secured.client_settings)
    prefix = f"secure-{next(_numbers)}."
    apply_topics(admin, prefix, 1)
    access.grant_rights(secured.client_settings, prefix)
    return Site(secured, prefix, admin)


@pytest.fixture
def site(secured: kafka.RunningBroker) -> Site:
    return new_site(secured)


def write(settings: Mapping[str, str], topics: list[str], numbers: range) -> list[int | None]:
    """Write a payment into each topic; error codes of the deliveries, None where it was taken."""
    outcomes: list[int | None] = []
    producer = Producer({**settings, "acks": "all", "log_level": 0})
    for topic, number in zip(topics, numbers, strict=True):
        try:
            producer.produce(
                topic,
                payment(number, "a1", START_MS + number),
                b"a1",
                on_delivery=lambda error, _: outcomes.append(None if error is None else error.code()),
            )
        except KafkaException as error:  # the client may have heard of the refusal before it took the record
            outcomes.append(error.args[0].code())
        assert producer.flush(40) == 0
    return outcomes


# What a worker with the engine's rights alone can do.


@needs_broker
def test_the_engines_rights_are_enough_for_exactly_once(site: Site, tmp_path: Path) -> None:
    """Verdicts, committed offsets, dead letters, and a restart that goes on behind what was committed."""
    settings = site.environment(tmp_path)
    site.produce(range(3))
    with worker(settings, tmp_path / "log") as process:
        assert site.verdicts(3) == ["p0", "p1", "p2"]
        assert stop(process) == 0, (tmp_path / "log").read_text()
    operator = load_config(environment=site.environment(tmp_path, "operator"))
    assert committed_offset(operator, f"{site.prefix}events", 0) == 3
    site.produce(range(3, 5))
    with worker(settings, tmp_path / "second") as process:
        assert site.verdicts(5) == ["p0", "p1", "p2", "p3", "p4"]
        assert stop(process) == 0, (tmp_path / "second").read_text()
    said = (tmp_path / "second").read_text()
    assert "state at 3, committed 3" in said
    assert "refuse" not in said


def committed(site: Site, user: str, of: str, timeout_s: float = 20.0) -> int:
    """What the group of a role has committed, asked by somebody who is not a member.

    By a consumer that never joins: the administrator's client dies while the group's coordinator is loading.
    """
    group = f"assay-{of}-{site.prefix}"
    with closing(Consumer({**site.broker.settings_of(user), "group.id": group, "log_level": 0})) as client:
        return int(ask_committed(client, TopicPartition(f"{site.prefix}events", 0), timeout_s).offset)


# What is refused at the start of a worker.


class Refused(NamedTuple):
    """How a worker ended."""

    code: int
    output: str


REFUSALS = {
    "no encryption": ["did not answer within 20 s", "--security"],
    "a wrong password": ["refused the credentials: check the user name and the password"],
    "an unknown user": ["refused the credentials: check the user name and the password"],
    "another authority": ["certificate verify failed", "--ca-file"],
    "no right to read events": ["no right", "events", "docs/security.md"],
    "no right to write verdicts": ["no right", "verdicts", "docs/security.md"],
    "a foreign transactional id": ["Transactional Id authorization failed", "docs/security.md"],
    "a foreign group": ["Group authorization failed", "docs/security.md"],
}
GUESS = "correct horse battery staple"


def refused_environments(secured: kafka.RunningBroker, directory: Path) -> dict[str, dict[str, str]]:
    """One worker for each refusal, everything right but for that."""
    (directory / "guess").write_text(GUESS)
    make_certificates(directory / "server.pem", directory / "other.pem")
    site = new_site(secured)
    unreadable, unwritable = new_site(secured), new_site(secured)
    unreadable.revoke(unreadable.right("engine", "events", READ))
    unwritable.revoke(unwritable.right("engine", "verdicts", WRITE))
    # what a worker calls its transactions and its group begins alike: each name is foreign in one of the two only
    site.grant(
        binding(ResourceType.GROUP, "foreign-transactions", "engine", READ),
        binding(ResourceType.TRANSACTIONAL_ID, "foreign-group", "engine", WRITE, "PREFIXED"),
    )
    bare = site.environment(directory, ASSAY_KAFKA_SECURITY="plaintext")
    return {
        "no encryption": bare,
        "a wrong password": site.environment(directory, ASSAY_KAFKA_PASSWORD_FILE=str(directory / "guess")),
        "an unknown user": site.environment(directory, ASSAY_KAFKA_USERNAME="stranger"),
        "another authority": site.environment(directory, ASSAY_KAFKA_CA_FILE=str(directory / "other.pem")),
        "no right to read events": unreadable.environment(directory),
        "no right to write verdicts": unwritable.environment(directory),
        "a foreign transactional id": site.environment(directory, ASSAY_KAFKA_GROUP="foreign-transactions"),
        "a foreign group": site.environment(directory, ASSAY_KAFKA_GROUP="foreign-group"),
    }


@pytest.fixture(scope="module")
def refused(secured: kafka.RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Refused]:
    """Every refused worker, some at a time: most of their time is waiting."""

    def run(settings: dict[str, str]) -> Refused:
        ended = subprocess.run([ASSAY, "run"], env=settings, capture_output=True, text=True, timeout=REFUSED_S)
        return Refused(ended.returncode, ended.stdout + ended.stderr)

    environments = refused_environments(secured, tmp_path_factory.mktemp("refused"))
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(environments, pool.map(run, environments.values()), strict=True))


@needs_broker
def test_the_rights_of_the_warm_path_are_enough_for_labels(site: Site, tmp_path: Path) -> None:
    sent = [label(number, "a1", 0) for number in range(10)]
    producer = Producer({**site.broker.settings_of("producer"), "log_level": 0})
    for key, value, partition in sent:
        producer.produce(f"{site.prefix}labels", value, key, partition)
    producer.flush()
    settings = site.environment(
        tmp_path, "warm", ASSAY_WARM_GROUP=f"assay-warm-{site.prefix}", ASSAY_WARM_DIRECTORY=str(tmp_path / "warm"),
        ASSAY_WARM_HTTP_PORT="-1",
    )  # fmt: skip
    with warm_worker(settings, tmp_path / "log") as process, TopicReader(site.broker.settings_of("operator")) as reader:
        wait_for(lambda: process.poll() is not None or reader.bounds(f"{site.prefix}events", 0).high >= len(sent))
        assert process.poll() is None, (tmp_path / "log").read_text()
        assert stop(process) == 0, (tmp_path / "log").read_text()
    assert "label-ids" in " ".join(path.name for path in (tmp_path / "warm").rglob("*"))


@needs_broker
@pytest.mark.parametrize("name", REFUSALS)
def test_a_worker_that_is_refused_says_so_in_one_line(refused: dict[str, Refused], name: str) -> None:
    code, output = refused[name]
    assert code == 1, output
    (line,) = [line for line in output.splitlines() if line.startswith("assay: ")]
    for words in REFUSALS[name]:
        assert words in line
    assert "Traceback" not in output
    assert not any(line.startswith("%") for line in output.splitlines()), "the client's own log, unformatted"
    assert GUESS not in output


def last_line(log: Path) -> str:
    """The one line with which a worker ended."""
    said = log.read_text()
    (line,) = [line for line in said.splitlines() if line.startswith("assay: ")] or [said]
    return line


@needs_broker
def test_rights_taken_away_from_a_running_worker_end_it_and_nothing_is_lost(site: Site, tmp_path: Path) -> None:
    settings = site.environment(tmp_path)
    site.produce(range(1))
    with worker(settings, tmp_path / "log") as process:
        assert site.verdicts(1) == ["p0"]
        site.revoke(site.right("engine", "verdicts", WRITE))
        site.produce(range(1, 2))
        assert process.wait(timeout=REFUSED_S) == 1
    assert "the broker refuses it" in last_line(tmp_path / "log")
    assert "docs/security.md" in last_line(tmp_path / "log")

    site.grant(site.right("engine", "verdicts", WRITE))
    with worker(settings, tmp_path / "second") as process:
        assert site.verdicts(2) == ["p0", "p1"]
        site.revoke(site.right("engine", "events", READ))
        site.produce(range(2, 3))
        assert process.wait(timeout=REFUSED_S) == 1
    assert "Topic authorization failed; grant this user the rights listed in docs/s" in last_line(tmp_path / "second")


# What each role may do: the table, and nothing else.


def readable(settings: Mapping[str, Any], topics: list[str]) -> set[str]:
    """Those of the topics that may be read: what the user may see at all is asked for its end."""
    settings = {**settings, "group.id": "assay-reader", "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = Consumer({**settings, "log_level": 0})
    seen = [topic for topic in topics if topic in consumer.list_topics(timeout=20).topics]
    consumer.assign([TopicPartition(topic, 0, 0) for topic in seen])
    answers: dict[str, bool] = {}
    deadline = time.monotonic() + 60
    try:
        while len(answers) < len(seen):
            assert time.monotonic() < deadline, f"no answer for {set(seen) - set(answers)}"
            message = consumer.poll(0.5)
            if message is not None and message.topic():
                error = message.error()
                code = None if error is None else error.code()
                assert code in (None, KafkaError._PARTITION_EOF, KafkaError.TOPIC_AUTHORIZATION_FAILED)
                answers[str(message.topic())] = code != KafkaError.TOPIC_AUTHORIZATION_FAILED
    finally:
        consumer.close()
    return {topic for topic, may in answers.items() if may}


@needs_broker
@pytest.mark.parametrize("role", access.ROLES)
def test_a_role_may_do_what_the_table_says_and_nothing_else(site: Site, role: Role) -> None:
    settings = site.broker.settings_of(role)
    names = [f"{site.prefix}{topic.name}" for topic in TOPICS]
    outcomes = write(settings, names, range(len(names)))
    refusals = {KafkaError.TOPIC_AUTHORIZATION_FAILED, None}
    assert set(outcomes) <= refusals
    written = {name for name, outcome in zip(names, outcomes, strict=True) if outcome is None}
    assert written == {f"{site.prefix}{topic.name}" for topic in TOPICS if role in topic.writers}
    assert readable(settings, names) == {f"{site.prefix}{topic.name}" for topic in TOPICS if role in topic.readers}


def test_the_rights_in_the_docs_are_those_of_the_table() -> None:
    document = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    for role in access.ROLES:
        (row,) = re.findall(rf"^\| `{role}` \|(.*)$", document, re.MULTILINE)
        reads, writes = (set(re.findall(r"`([a-z.-]+)`", cell)) for cell in row.split("|")[:2])
        if "everything but" in row:
            reads = {topic.name for topic in TOPICS} - reads
        assert reads == {topic.name for topic in TOPICS if role in topic.readers}
        assert writes == {topic.name for topic in TOPICS if role in topic.writers}


@needs_broker
def test_the_id_of_a_topic_is_told_to_whoever_may_read_or_write_it(site: Site) -> None:
    name = f"{site.prefix}events"

    def told(user: str) -> str:
        return topic_id(AdminClient({**site.broker.settings_of(user), "log_level": 0}), name)

    assert {told(user) for user in ("admin", "producer", "engine", "operator")} == {topic_id(site.admin, name)}
    with pytest.raises(AssayError, match=rf"{name}: .*authorization failed.*docs/security\.md"):
        told("reader")


@needs_broker
def test_the_operator_makes_topics_for_replays_and_no_others(site: Site) -> None:
    def made(user: str, name: str) -> bool:
        client = AdminClient({**site.broker.settings_of(user), "log_level": 0})
        (answer,) = client.create_topics([NewTopic(f"{site.prefix}{name}", 1)], request_timeout=20).values()
        try:
            answer.result()
        except KafkaException as error:
            assert error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
            return False
        return True

    assert made("operator", "verdicts.replay.night")
    assert write(site.broker.settings_of("operator"), [f"{site.prefix}verdicts.replay.night"], range(1)) == [None]
    assert not made("operator", "verdicts.other")
    assert not made("engine", "verdicts.replay.day")


@needs_broker
@pytest.mark.parametrize("of", ["engine", "warm"])
def test_who_is_not_concerned_learns_nothing_of_the_engines_groups(site: Site, of: str) -> None:
    assert committed(site, "operator", of) < 0  # none yet, and the operator may know
    with pytest.raises(
        KafkaException, match=r"(?i)timed out|group authorization failed"
    ):  # not even who coordinates it
        committed(site, "producer", of, timeout_s=3.0)


# The tools of operators.


@needs_broker
def test_the_operator_redrives_and_others_are_refused(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.streams.test_dlq import write_letters

    write_letters(site.broker, site.prefix, [(0, 5)], payment(1, "a1", START_MS))

    def as_user(user: str, **more: str) -> None:
        for name, value in site.environment(tmp_path, user, **more).items():
            if name.startswith("ASSAY_"):
                monkeypatch.setenv(name, value)

    as_user("operator")
    finished = assay("dlq", "redrive", "--yes", "--json")
    assert finished.code == 0, finished.errors
    assert orjson.loads(finished.output) == {"sent": 1, "left": {}}
    as_user("reader")
    fails_with(assay("dlq", "list"), "authorization failed", "docs/security.md")
    (tmp_path / "guess").write_text(GUESS)
    as_user("operator", ASSAY_KAFKA_PASSWORD_FILE=str(tmp_path / "guess"))
    fails_with(assay("dlq", "list"), "refused the credentials")


# Nothing leaves this machine unprotected.


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["warm"],
        ["dlq", "list"],
        ["dlq", "show", "0:0"],
        ["dlq", "redrive", "--yes"],
        ["archive", "--to", "archive"],
        ["replay", "--out", "verdicts"],
        ["verify", "p1"],
        ["explain", "0:1"],
        ["state", "rebuild", "--partition", "0"],
        ["state", "restore", "--partition", "0", "--snapshots", "none"],
    ],
    ids=" ".join,
)
def test_a_command_refuses_an_unprotected_connection_to_another_machine(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fails_with(assay(*words, "--bootstrap", "kafka.example:9092"), "unencrypted", "ASSAY_KAFKA_SECURITY=sasl_ssl")


def test_it_is_allowed_where_somebody_said_so() -> None:
    asked = {"ASSAY_KAFKA_BOOTSTRAP": "kafka.example:9092", "ASSAY_KAFKA_INSECURE": "true"}
    assert connection(load_config(environment=asked))["security.protocol"] == "PLAINTEXT"
