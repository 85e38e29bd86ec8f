"""What brokers tell of topics is not always in step: who is asked first may not have heard yet."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from streams.admin import look


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
