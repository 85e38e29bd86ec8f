"""The ceiling: consume and produce the same bytes and nothing else, with the worker's own client settings.

    python -m benchmarks.bare_loop VERDICTS_TOPIC

It is configured like a worker (`ASSAY_…`): broker, group, slot, delivery, size of a batch. Exactly once is one
transaction for each batch with the offsets in it; at least once flushes and then commits, as `streams/publisher.py`.
"""

import gc
import sys

from confluent_kafka import Consumer, Producer

from streams.config import load_config
from streams.kafka_clients import FirstError, consumer_settings, producer_settings


def main() -> None:
    """Work until the process is ended."""
    (target,) = sys.argv[1:]
    config = load_config()
    exactly_once = config.text("engine.delivery") == "exactly_once"
    batch_events = config.whole("engine.batch_events")
    on_error = FirstError()
    consumer = Consumer({**consumer_settings(config, on_error), "auto.offset.reset": "earliest"})
    name = f"{config.text('kafka.group')}-{config.text('kafka.slot')}"
    delivery = {"transactional.id": name} if exactly_once else {"enable.idempotence": True}
    producer = Producer({**producer_settings(config, on_error), **delivery})
    if exactly_once:
        producer.init_transactions()
    consumer.subscribe([f"{config.text('topics.prefix')}events"])
    gc.freeze()
    while True:
        received = consumer.consume(1, 0.25)
        if received:
            received += consumer.consume(batch_events - 1, 0.0)
        messages = [message for message in received if message.error() is None]
        if not messages:
            continue
        if exactly_once:
            producer.begin_transaction()
        produce = producer.produce
        for message in messages:
            produce(target, message.value(), message.key(), message.partition())
        producer.poll(0)
        if exactly_once:
            offsets = consumer.position(consumer.assignment())
            producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata())
            producer.commit_transaction()
        else:
            producer.flush()
            consumer.commit(offsets=consumer.position(consumer.assignment()), asynchronous=False)


if __name__ == "__main__":
    main()
