"""What brokers tell of topics is not always in step: who is asked first may not have heard yet."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Uuid
from confluent_kafka.admin import AdminClient

from features.errors import AssayError
from streams.admin import look, topic_id


class LaggingCluster:
    """Metadata knows a topic from the start, the broker that is asked for settings only at the second time."""

    def __init__(self) -> None:
        self.asked = 0

    def list_topics(self, timeout: float) -> Any:
        partition = SimpleNamespace(replicas=[1, 2, 3])
        return SimpleNamespace(topics={"fraud.events": SimpleNamespace(error=None, partitions={0: partition})})

    def describe_configs(self, resources: list[Any], request_timeout: float) -> dict[Any, Future[Any]]:
        self.asked += 1
        answer: Future[Any] = Future()
        if self.asked == 1:
            answer.set_exception(KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)))
        else:
            answer.set_result({"cleanup.policy": SimpleNamespace(name="cleanup.policy", value="delete")})
        return dict.fromkeys(resources, answer)


def test_a_broker_that_has_not_heard_of_a_topic_is_asked_again() -> None:
    cluster = LaggingCluster()
    found = look(cast(AdminClient, cluster), ["fraud.events", "fraud.labels"])
    assert cluster.asked == 2
    assert list(found) == ["fraud.events"]
    assert found["fraud.events"].replicas == 3
    assert found["fraud.events"].settings == {"cleanup.policy": "delete"}


class OneTopic:
    """A cluster whose answer about a topic is given."""

    def __init__(self, found: Uuid | KafkaException) -> None:
        self.answer: Future[Any] = Future()
        if isinstance(found, KafkaException):
            self.answer.set_exception(found)
        else:
            self.answer.set_result(SimpleNamespace(topic_id=found))

    def describe_topics(self, topics: Any, request_timeout: float) -> dict[str, Future[Any]]:
        assert topics.topic_names == ["fraud.events"]
        return {"fraud.events": self.answer}


def id_given(found: Uuid | KafkaException) -> str:
    return topic_id(cast(AdminClient, OneTopic(found)), "fraud.events")


def test_an_id_is_fit_for_the_name_of_a_folder() -> None:
    """The client writes it in the alphabet of base64 that has a slash; Kafka's own tools do not."""
    slashes, pluses = Uuid(-1, -1), Uuid(-292_805_461_487_453_201, 3)
    assert (str(slashes), str(pluses)) == ("/////////////////////w", "++++++++++8AAAAAAAAAAw")
    assert (id_given(slashes), id_given(pluses)) == ("_____________________w", "----------8AAAAAAAAAAw")


def test_a_cluster_that_gives_no_ids_is_refused() -> None:
    """All topics would pass for the same."""
    with pytest.raises(AssayError, match="gives the topic fraud.events no id"):
        id_given(Uuid(0, 0))


def test_a_topic_that_may_not_be_described_is_one_line_with_what_to_do() -> None:
    with pytest.raises(AssayError, match="topic fraud.events.*docs/security.md") as refused:
        id_given(KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)))
    assert "\n" not in str(refused.value)
