"""What an error of the client means to a worker."""

import pytest
from confluent_kafka import KafkaError

from streams.kafka_clients import is_replaced


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError._FENCED,
    ],
)
def test_a_worker_that_was_fenced_was_replaced(code: int) -> None:
    assert is_replaced(KafkaError(code))


def test_a_fatal_error_is_told_apart_by_its_words() -> None:
    fenced = KafkaError(KafkaError.FENCED_INSTANCE_ID).str()
    assert is_replaced(KafkaError(KafkaError._FATAL, f"Fatal error: {fenced}: Fatal consumer error: {fenced}", True))
    assert not is_replaced(KafkaError(KafkaError._FATAL, "Fatal error: Broker: Out of memory", True))


def test_other_troubles_are_no_replacement() -> None:
    assert not is_replaced(KafkaError(KafkaError._TRANSPORT))
    assert not is_replaced(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
