"""What the engine asks of a cluster as its administrator: is it there, which topics has it, create these."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType, TopicMetadata

from features.errors import AssayError
from streams.topics import Existing, Step, plan, topic_names

TIMEOUT_S = 20.0
FIRST_S, LONGEST_S = 0.5, 4.0  # one question; between two, look whether the client has learned of a refusal
_AS_KAFKA_WRITES = str.maketrans("+/", "-_")  # the client says an id in the other alphabet of base64
_NO_ID = "A" * 22  # what a cluster says that knows no ids
CREDENTIALS = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED)


def connect(settings: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> tuple[AdminClient, set[int]]:
    """An administrator's client that has reached the cluster, and the numbers of the brokers it sees.

    Raises:
        AssayError: nobody answered in `timeout_s`, or the credentials or the certificate were refused; the client
            tells these only through its error callback.
    """
    errors: list[KafkaError] = []
    client = AdminClient({**settings, "error_cb": errors.append, "log_level": 0})
    deadline = time.monotonic() + timeout_s
    patience_s = FIRST_S
    while True:
        left_s = deadline - time.monotonic()
        try:
            return client, set(client.list_topics(timeout=max(0.1, min(patience_s, left_s))).brokers)
        except KafkaException as error:
            client.poll(0)
            _raise_refusal(settings["bootstrap.servers"], errors)
            if left_s <= patience_s:
                reasons = [each.str() for each in errors if each.code() == KafkaError._TRANSPORT]
                raise AssayError(
                    f"Kafka at {settings['bootstrap.servers']} did not answer within {timeout_s:g} s "
                    f"({(reasons or [error.args[0].str()])[0]}): "
                    "check the address and --security, or start one with `assay broker up`"
                ) from None
            patience_s = min(2 * patience_s, LONGEST_S)


def _raise_refusal(bootstrap: str, errors: Iterable[KafkaError]) -> None:
    """Trying again does not help against these."""
    for error in errors:
        if error.code() in CREDENTIALS:
            raise AssayError(f"Kafka at {bootstrap} refused the credentials: check the user name and the password")
        if error.code() == KafkaError._SSL:
            raise AssayError(
                f"no encrypted connection to Kafka at {bootstrap}: {error.str()}: "
                "check the certificate authority (--ca-file) and --security"
            )


def topic_id(client: AdminClient, name: str) -> str:
    """The id of a topic, as Kafka's own tools write it; a topic that is deleted and made anew has another one.

    Asks for no right but to DESCRIBE the topic, which comes with the right to read or to write it.

    Raises:
        AssayError: there is no such topic, no right to it, or the cluster gives no ids.
    """
    try:
        found = client.describe_topics(TopicCollection([name]), request_timeout=TIMEOUT_S)[name].result()
    except KafkaException as error:
        raise AssayError(
            f"asking for the id of the topic {name}: {error.args[0].str()}; check topics.prefix and the rights in "
            "docs/security.md, or create it: `assay topics apply`"
        ) from None
    written = str(found.topic_id).translate(_AS_KAFKA_WRITES)
    if written == _NO_ID:
        raise AssayError(
            f"the cluster gives the topic {name} no id, so a state of a former topic of that name would pass for one "
            "of this; use Kafka 3 or later"
        )
    return written


def look(client: AdminClient, names: Iterable[str]) -> dict[str, Existing]:
    """Those of the topics `names` that exist, as the cluster has them.

    Raises:
        AssayError: the cluster refused to tell.
    """
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            found = _topics(client, names)
            settings = _settings(client, found)
            break
        except KafkaException as error:
            cause = error.args[0]
            # the broker that was asked for settings may not have heard of a topic that another one has told of
            if cause.code() == KafkaError.UNKNOWN_TOPIC_OR_PART and time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            raise AssayError(f"Kafka refused to describe topics: {cause.str()}: check the user's rights") from None
    return {
        name: Existing(
            partitions=len(topic.partitions),
            replicas=min((len(partition.replicas) for partition in topic.partitions.values()), default=0),
            settings=settings[name],
        )
        for name, topic in found.items()
    }


def _settings(client: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Settings of topics, by topic."""
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    answers = client.describe_configs(resources, request_timeout=TIMEOUT_S) if resources else {}
    return {
        resource.name: {entry.name: str(entry.value) for entry in answer.result().values()}
        for resource, answer in answers.items()
    }


def _topics(client: AdminClient, names: Iterable[str]) -> dict[str, TopicMetadata]:
    """What the cluster says about those of `names` that it has."""
    known = client.list_topics(timeout=TIMEOUT_S).topics
    return {name: known[name] for name in names if name in known and known[name].error is None}


def apply_topics(client: AdminClient, prefix: str, partitions: int | None) -> list[Step]:
    """Create what is missing of the table of topics; leave what exists as it is. Doing it again changes nothing.

    Returns:
        What was done: ``create`` stands for a topic that was missing and is there now.

    Raises:
        AssayError: the cluster refused.
    """
    names = topic_names(prefix)
    created: set[str] = set()
    for group in (names[:1], names[1:]):  # events first: the others take its number of partitions
        steps = plan(prefix, partitions, look(client, names))
        created |= _create(client, [step for step in steps if step.outcome == "create" and step.topic in group])
        _wait_for(client, group)
    steps = plan(prefix, partitions, look(client, names))
    return [replace(step, outcome="create") if step.topic in created else step for step in steps]


def create_topic(client: AdminClient, name: str, partitions: int, settings: Mapping[str, str]) -> bool:
    """Create a topic that is not in the table unless it exists, and wait until it can be written; whether it is new.

    Raises:
        AssayError: the cluster refused.
    """
    created = _create(client, [Step(name, "create", partitions, settings)])
    _wait_for(client, [name])
    return name in created


def _create(client: AdminClient, steps: Iterable[Step]) -> set[str]:
    """Create topics; the names of those that were not there."""
    topics = [NewTopic(step.topic, step.partitions, config=dict(step.settings)) for step in steps]
    answers = client.create_topics(topics, operation_timeout=TIMEOUT_S) if topics else {}
    created = set()
    for name, answer in answers.items():
        try:
            answer.result()
            created.add(name)
        except KafkaException as error:
            # it is there if somebody else was quicker, or the broker asked above had not heard of it yet
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise AssayError(
                    f"Kafka refused to create the topic {name}: {error.args[0].str()}: "
                    "check the user's rights and the number of brokers, then run `assay topics apply` again"
                ) from None
    return created


def _wait_for(client: AdminClient, names: Iterable[str]) -> None:
    """A broker tells of a new topic, and who leads its partitions, some moments after the controller created it."""
    deadline = time.monotonic() + TIMEOUT_S
    waiting = set(names)
    while waiting := waiting - _led(client, waiting):
        if time.monotonic() > deadline:
            raise AssayError(
                f"the topic {min(waiting)} has no leader after {TIMEOUT_S:g} s: look at the brokers' logs, then run "
                "`assay topics apply` again"
            )
        time.sleep(0.05)


def _led(client: AdminClient, names: Iterable[str]) -> set[str]:
    """Those of `names` of which every partition has a leader."""
    topics = _topics(client, names)
    return {name for name in topics if all(partition.leader >= 0 for partition in topics[name].partitions.values())}
