"""The job on a bare confluent-kafka client: consume a batch, work, one transaction with the offsets in it.

After the client's own example `eos-transactions.py`, with `consume` instead of `poll` for speed. State is a dict that
dies with the process: a restart would begin with empty windows.
"""

from collections import defaultdict

import orjson
from confluent_kafka import Consumer, Producer

from benchmarks.peers.arguments import Arguments, parse
from benchmarks.peers.job import History, Models, features

BATCH = 1_000


def run(arguments: Arguments) -> None:
    """Work until the process is ended."""
    consumer = Consumer(
        {
            "bootstrap.servers": arguments.bootstrap,
            "group.id": arguments.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": arguments.bootstrap,
            "transactional.id": arguments.group,
            "compression.type": "lz4",
            "linger.ms": 5,
            "retry.backoff.ms": 2,  # at the default of 100 the next transaction waits that long for the last
        }
    )
    producer.init_transactions()
    consumer.subscribe([arguments.events])
    models = Models(arguments.model)
    histories: dict[str, History] = defaultdict(lambda: ([], []))
    while True:
        messages = [message for message in consumer.consume(BATCH, 0.1) if message.error() is None]
        if not messages:
            continue
        events = [orjson.loads(message.value()) for message in messages]
        rows = [features(event, histories[event["account_id"]]) for event in events]
        if arguments.form == "batched":
            verdicts = models.judge_many(events, rows)
        else:
            verdicts = [models.judge(event, row) for event, row in zip(events, rows, strict=True)]
        producer.begin_transaction()
        for message, verdict in zip(messages, verdicts, strict=True):
            producer.produce(arguments.verdicts, verdict, message.key())
            producer.poll(0)
        producer.send_offsets_to_transaction(
            consumer.position(consumer.assignment()), consumer.consumer_group_metadata()
        )
        producer.commit_transaction()


if __name__ == "__main__":
    run(parse())
